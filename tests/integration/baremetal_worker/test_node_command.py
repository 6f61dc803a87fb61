"""``colobus node`` on a real Ironic, as operators call it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from colobus.cli.app import app
from colobus.nodes.enrolment import enrol
from colobus.nodes.node_list import load_nodes
from devcloud.tenants import BARE_METAL_CLOUD, CLOUD
from tests.integration.baremetal_worker.world import World
from tests.support.conditions import eventually_sync
from tests.support.installation import free_ports

pytestmark = pytest.mark.timeout(300)
Colobus = Callable[..., Result]
MACHINE = "machine-01kb5w3t0fpz3sd2t4v8h1m9qa"


@pytest.fixture
def colobus(world: World) -> Colobus:
    """Run ``colobus node`` with these arguments."""
    environ = {
        "OS_CLIENT_CONFIG_FILE": str(world.clouds_file()),
        "OS_CLOUD": BARE_METAL_CLOUD,
        "COLUMNS": "250",
    }

    def run(*arguments: str, **more: str) -> Result:
        return CliRunner().invoke(app, ["node", *arguments], env={**environ, **more})

    return run


class Rack:
    """A list of nodes without boards, and what Ironic has of them."""

    def __init__(self, world: World, folder: Path) -> None:
        self.ironic = world.ironic
        self.name = f"{world.installation}-rack{next(world.numbers)}"
        self.names = [f"{self.name}-{number}" for number in range(2)]
        self.file = folder / "nodes.yaml"
        self.write(*map(self.entry, self.names))

    def entry(self, name: str, **changed: Any) -> dict[str, Any]:
        card = f"52:54:fb:{sum(self.name.encode()) % 256:02x}:00:{self.names.index(name):02x}"
        return {
            "name": name,
            "resource_class": self.name,
            "arch": "aarch64",
            "traits": ["CUSTOM_RACK_7"],
            "ports": [card],
            "bmc": {"driver": "fake-hardware"},
            **changed,
        }

    def write(self, *entries: dict[str, Any]) -> None:
        self.file.write_text(yaml.safe_dump({"nodes": entries}))

    def holds(self) -> list[tuple[str, str, str, tuple[str, ...], int]]:
        """Name, state, power, traits, and how many ports, of each of the nodes."""
        found = []
        for node in self.ironic.nodes(details=True, resource_class=self.name):
            ports = len(list(self.ironic.ports(node=node.id)))
            traits = tuple(sorted(node.traits))
            found.append((node.name, node.provision_state, node.power_state, traits, ports))
        return sorted(found)

    def unlocked(self) -> bool:
        nodes = self.ironic.nodes(details=True, resource_class=self.name)
        return not any(node.reservation for node in nodes)

    def whole(self, *names: str) -> list[tuple[str, str, str, tuple[str, ...], int]]:
        """What `holds` is when these are enrolled."""
        traits = ("CUSTOM_RACK_7", "HW_ARCH_AARCH64")
        return [(name, "available", "power off", traits, 1) for name in names or self.names]


@pytest.fixture
def rack(world: World, tmp_path: Path) -> Iterator[Rack]:
    made = Rack(world, tmp_path)
    yield made
    eventually_sync(made.unlocked, what="Ironic is done with them")
    world.forget(made.names)


def listed(colobus: Colobus) -> dict[str, dict[str, Any]]:
    result = colobus("list", "-o", "json")
    assert result.exit_code == 0, result.output
    return {node["name"]: node for node in json.loads(result.stdout)}


def test_enrolling_twice_is_enrolling_once(colobus: Colobus, rack: Rack) -> None:
    """What becomes of each is told; a second time nothing is made."""
    made = colobus("enroll", str(rack.file), "-o", "name")
    assert (made.exit_code, made.stdout.split()) == (0, rack.names), made.output
    for state in ("is made", "manageable", "available"):
        assert f"{rack.names[0]}: {state}" in made.stderr
    assert rack.holds() == rack.whole()
    again = colobus("enroll", str(rack.file), "-o", "name")
    assert (again.exit_code, again.stdout) == (0, made.stdout), again.output
    assert "is made" not in again.stderr
    assert rack.holds() == rack.whole()


class Interrupted:
    """Ironic, until a call of this name: there the operator presses Ctrl-C."""

    def __init__(self, ironic: Any, call: str) -> None:
        self._ironic, self._call = ironic, call

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            raise KeyboardInterrupt
        return getattr(self._ironic, name)


@pytest.mark.parametrize(
    "call",
    ["set_node_traits", "create_port", "set_node_provision_state", "set_node_power_state"],
)
def test_a_node_that_was_left_between_two_steps_is_completed(
    colobus: Colobus, rack: Rack, call: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        enrol(Interrupted(rack.ironic, call), load_nodes(rack.file))
    assert rack.holds() != rack.whole()
    done = colobus("enroll", str(rack.file))
    assert done.exit_code == 0, done.output
    assert rack.holds() == rack.whole()


def test_a_board_that_does_not_answer_is_told_in_ironics_words(
    colobus: Colobus, rack: Rack
) -> None:
    """Of that node alone: the others become available."""
    (port,) = free_ports(1)
    board = {
        "driver": "redfish",
        "address": f"http://127.0.0.1:{port}",
        "system": "/redfish/v1/Systems/1",
        "credentials_env": "BMC",
    }
    good, dead = rack.names
    rack.write(rack.entry(good), rack.entry(dead, bmc=board))
    failed = colobus("enroll", str(rack.file), BMC="operator:s3cret")
    assert failed.exit_code == 1, failed.output
    assert f"{dead}: Failed to get power state" in failed.stderr
    assert "s3cret" not in failed.output
    assert rack.holds()[:1] == rack.whole(good)


def test_a_fault_is_told_before_anything_is_made(colobus: Colobus, rack: Rack) -> None:
    """Those of the file, and a card that another node has already."""
    first, second = rack.names
    rack.write(rack.entry(first), rack.entry(second, traits=["fast"]))
    refused = colobus("enroll", str(rack.file))
    assert (refused.exit_code, "nodes[1].traits[0]" in refused.stderr) == (2, True)
    assert rack.holds() == []
    rack.write(rack.entry(first))
    assert colobus("enroll", str(rack.file)).exit_code == 0
    rack.write(rack.entry(second, ports=rack.entry(first)["ports"]))
    refused = colobus("enroll", str(rack.file))
    assert (refused.exit_code, f"is {first}'s already" in refused.stderr) == (2, True)
    assert rack.holds() == rack.whole(first)


def test_a_list_that_has_changed_is_told_and_changes_nothing(colobus: Colobus, rack: Rack) -> None:
    first = rack.names[0]
    rack.write(rack.entry(first))
    assert colobus("enroll", str(rack.file)).exit_code == 0
    rack.write(rack.entry(first, boot_mode="bios", resource_class="another"))
    again = colobus("enroll", str(rack.file))
    assert again.exit_code == 0, again.output
    assert "other than listed: properties.capabilities, resource_class" in again.stderr
    assert rack.holds() == rack.whole(first)


def test_maintenance_comes_and_goes(colobus: Colobus, rack: Rack) -> None:
    """Its reason is in the list, for people and for programs."""
    assert colobus("enroll", str(rack.file)).exit_code == 0
    name = rack.names[0]
    assert colobus("maintenance", name, "--reason", "a new fan").exit_code == 0
    assert "a new fan" in colobus("list").stdout
    node = listed(colobus)[name]
    assert (node["maintenance"], node["reason"]) == (True, "a new fan")
    assert colobus("maintenance", name, "--off").exit_code == 0
    node = listed(colobus)[name]
    assert (node["maintenance"], node["reason"]) == (False, None)
    for wrong in ((), ("--off", "--reason", "x")):
        assert colobus("maintenance", name, *wrong).exit_code == 2
    assert colobus("maintenance", "no-such-node", "--off").exit_code == 3


def test_a_node_that_is_in_use_is_not_removed(colobus: Colobus, rack: Rack) -> None:
    """Neither reserved nor with a machine on it, which the list names. Free, it goes."""
    assert colobus("enroll", str(rack.file)).exit_code == 0
    reserved = rack.ironic.create_allocation(name=rack.name, resource_class=rack.name)
    try:
        name = rack.ironic.get_node(rack.ironic.wait_for_allocation(reserved).node_id).name
        refused = colobus("remove", name)
        assert (refused.exit_code, "reserved" in refused.stderr) == (1, True), refused.output
    finally:
        rack.ironic.delete_allocation(reserved)
    mark = {"op": "add", "path": "/extra/colobus", "value": {"resource": MACHINE}}
    rack.ironic.patch_node(name, [mark])
    node = listed(colobus)[name]
    assert (node["machine"], node["state"], node["arch"]) == (MACHINE, "available", "aarch64")
    refused = colobus("remove", name)
    assert (refused.exit_code, MACHINE in refused.stderr) == (1, True), refused.output
    rack.ironic.patch_node(name, [{"op": "remove", "path": "/extra/colobus"}])
    assert colobus("remove", name).exit_code == 0
    assert name not in listed(colobus)
    assert colobus("remove", name).exit_code == 3


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"OS_CLOUD": ""}, 2, "OS_CLOUD"),
        ({"OS_CLOUD": "no-such-cloud"}, 2, "no-such-cloud"),
        ({"OS_CLIENT_CONFIG_FILE": "member.yaml", "OS_CLOUD": CLOUD}, 2, "system_scope"),
        ({"OS_CLIENT_CONFIG_FILE": "wrong.yaml"}, 4, "refuses this user"),
        ({"OS_CLIENT_CONFIG_FILE": "away.yaml"}, 5, "no answer"),
    ],
)
def test_wrong_access_is_said_as_such(
    colobus: Colobus, world: World, tmp_path: Path, wrong: dict[str, str], code: int, words: str
) -> None:
    clouds = yaml.safe_load(world.clouds_file().read_text())["clouds"]
    (port,) = free_ports(1)
    changes = {
        "member.yaml": (CLOUD, {"project_name": "bigtop"}),
        "wrong.yaml": (BARE_METAL_CLOUD, {"password": "wrong"}),
        "away.yaml": (BARE_METAL_CLOUD, {"auth_url": f"http://127.0.0.1:{port}/v3"}),
    }
    for file, (cloud, change) in changes.items():
        auth = clouds[cloud]["auth"] | change
        content = {"clouds": {cloud: {**clouds[cloud], "auth": auth}}}
        (tmp_path / file).write_text(yaml.safe_dump(content))
    if "OS_CLIENT_CONFIG_FILE" in wrong:
        wrong = {**wrong, "OS_CLIENT_CONFIG_FILE": str(tmp_path / wrong["OS_CLIENT_CONFIG_FILE"])}
    result = colobus("list", **wrong)
    assert (result.exit_code, words in result.stderr) == (code, True), result.output


def test_the_missing_library_is_named_as_an_extra(colobus: Colobus) -> None:
    """Only this command needs it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "openstack", None)
        result = colobus("list")
    assert (result.exit_code, "extra `nodes`" in result.stderr) == (2, True), result.output
