"""``colobus machine``: the words of ``colobus vm``, about bare metal."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import msgspec
import pytest

from colobus import Client, CreateMachine, Phase
from colobus.cli import machine, vm
from colobus.cli.app import app
from colobus.models import MachineSpec, VmSpec
from tests.integration.client.conftest import Command
from tests.integration.client.scripted import ULID, Scripted, event, says, stored, streams

MACHINE = f"machine-{ULID}"
SPEC = {"image": "debian-12", "flavor": "rack"}
CREATE = ("machine", "create", "--image", "debian-12", "--flavor", "rack")


async def test_create_sends_what_the_options_say(
    door: Scripted, run: Command, tmp_path: Path
) -> None:
    """All that is said of a VM, and the size of its disk."""
    (tmp_path / "key.pub").write_text("ssh-ed25519 AAAA me\n")
    (tmp_path / "user-data").write_text("#cloud-config\n")
    door.on("POST", "/v1/machines", says(stored("machine", Phase.REQUESTED, SPEC), 202))
    options = {
        "--root-gib": "40",
        "--network": "net",
        "--ssh-key": str(tmp_path / "key.pub"),
        "--user-data": str(tmp_path / "user-data"),
        "--security-group": "web",
        "--arch": "aarch64",
        "--lease": "2h",
    }
    flat = [word for pair in options.items() for word in pair]
    result = await run(*CREATE, *flat, "--floating-ip", "-o", "name")
    assert (result.exit_code, result.stdout) == (0, f"{MACHINE}\n")
    assert json.loads(door.seen[0][3]) == {
        **SPEC,
        "root_gib": 40,
        "network": "net",
        "floating_ip": True,
        "ssh_keys": ["ssh-ed25519 AAAA me"],
        "user_data": "#cloud-config\n",
        "security_groups": ["web"],
        "arch": "aarch64",
        "lease": {"ttl": 7200},
    }


def test_its_commands_and_options_are_those_of_vms() -> None:
    """Only the group's name changes, and a machine has a disk that can be larger."""
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    commands = [
        {command.name or getattr(command.callback, "__name__", "") for command in known}
        for known in (groups[name].registered_commands for name in ("machine", "vm"))  # type: ignore[union-attr]
    ]
    assert commands[0] == commands[1]
    options = [set(inspect.signature(group.create).parameters) for group in (machine, vm)]
    assert options[0] - options[1] == {"root_gib"}
    assert options[1] <= options[0]
    assert set(MachineSpec.__struct_fields__) - set(VmSpec.__struct_fields__) == {"root_gib"}


async def test_it_is_shown_with_all_places_that_hold_something_of_it(
    door: Scripted, run: Command
) -> None:
    """The metal that it is on, the store of its disk, the cloud of its port."""
    outputs = {"node": "metal-1", "floating_ip": "203.0.113.7", "addresses": ["10.0.0.4"]}
    resource = stored("machine", Phase.ACTIVE, SPEC, outputs=outputs)
    door.on("GET", "/v1/machines", says({"items": [resource]}))
    door.on("GET", f"/v1/machines/{MACHINE}", says(resource))
    table = (await run("machine", "list")).stdout
    assert all(word in table for word in (MACHINE, "active", "metal-1", "203.0.113.7", "10.0.0.4"))
    one = (await run("machine", "show", MACHINE)).stdout
    lines = dict(line.split(maxsplit=1) for line in one.splitlines())
    assert (lines["metal"].strip(), lines["store"].strip()) == ("lab", "ceph")
    assert lines["cloud"].strip() == "devcloud"


@pytest.mark.parametrize("verb", ["reboot", "stop", "start"])
async def test_its_power_is_switched_like_a_vms(door: Scripted, run: Command, verb: str) -> None:
    """An id says which kind it is of."""
    active = says(stored("machine", Phase.ACTIVE, SPEC), 202)
    door.on("POST", f"/v1/machines/{MACHINE}/{verb}", active)
    assert (await run("machine", verb, MACHINE)).exit_code == 0


async def test_its_end_can_be_waited_for(door: Scripted, run: Command) -> None:
    """As that of all kinds."""
    going = stored("machine", Phase.DEPROVISIONING, SPEC)
    gone = msgspec.structs.replace(stored("machine", Phase.DELETED, SPEC), revision=4)
    path = f"/v1/machines/{MACHINE}"
    door.on("DELETE", path, says(going, 202))
    door.on("GET", path, says(going))
    door.on("GET", f"{path}/events", streams(event(gone), breaks=False))
    assert (await run("machine", "delete", MACHINE, "--wait")).exit_code == 0


async def test_a_program_asks_for_one_by_its_own_name(door: Scripted, client: Client) -> None:
    """Beside the call that is for all kinds."""
    door.on("POST", "/v1/machines", says(stored("machine", Phase.REQUESTED, SPEC), 202))
    made = await client.create_machine(CreateMachine(image="debian-12", flavor="rack"))
    assert (made.kind, made.status.phase) == ("machine", Phase.REQUESTED)
