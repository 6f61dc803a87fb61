"""What goes wrong with machines is told in the words of who it went wrong at, and cleaned up."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from colobus.client import Client
from colobus.models import CreateMachine, Phase, Reason, Resource
from devcloud.machines import MACHINES
from devcloud.nodes import RESOURCE_CLASS
from tests.integration.iscsi_worker.world import World
from tests.support.bare_metal import Metal
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually, eventually_sync
from tests.support.installation import Installation
from tests.support.machines import BOOTS_WITHIN, fails, leaves_nothing, machine_of, words
from tests.support.waiting import waited

#: Long enough for Ironic's word and the firmware's, in seconds.
DEADLINE = 120


async def test_a_blank_disk_never_makes_a_machine_active(
    client: Client, metal: Metal, world: World, network: Cloud
) -> None:
    """Ironic says active, the firmware logs in; both are told, and it fails at its deadline."""
    blank = world.make_golden(1 << 26)
    failed = await fails(
        client, CreateMachine(image=blank, flavor=RESOURCE_CLASS, deadline=DEADLINE)
    )
    assert failed.status.reason == Reason.DEADLINE_EXCEEDED
    told = ("Ironic says active, but nobody", "The firmware has logged in to its disk, but no")
    assert any(one in words(failed) for one in told)
    await leaves_nothing(metal, world, network, machine_of(failed).name)


async def test_an_image_that_is_not_there_is_told(
    client: Client, world: World, network: Cloud
) -> None:
    """In the store's words, and the node that was reserved meanwhile goes back."""
    failed = await fails(client, CreateMachine(image="debian-99", flavor=RESOURCE_CLASS))
    assert failed.status.reason == Reason.IMAGE_NOT_FOUND
    assert world.images() == []
    assert network.holds().counts == NOTHING


async def test_a_class_of_nodes_that_nobody_has_is_told(client: Client, tiny: str) -> None:
    """In Ironic's words."""
    failed = await fails(client, CreateMachine(image=tiny, flavor="gold-plated"))
    assert failed.status.reason == Reason.NO_VALID_HOST
    assert "gold-plated" in words(failed)


@contextmanager
def restarted(house: Installation, process: str, variable: str, value: str) -> Iterator[None]:
    """Have a service run with another setting for a while."""
    usual = dict(house.extra.get(process, {}))
    house.stop(process)
    house.extra[process] = {**usual, variable: value}
    house.start(process)
    try:
        yield
    finally:
        house.stop(process)
        house.extra[process] = usual
        house.start(process)


async def test_a_wrong_secret_never_makes_a_machine_active(
    client: Client, metal: Metal, world: World, network: Cloud, house: Installation, tiny: str
) -> None:
    """Ironic says active all the same. The firmware is told another secret than the target."""
    other = house.folder / "other-chap.key"
    other.write_bytes(base64.b64encode(secrets.token_bytes(32)))
    with restarted(house, "baremetal_worker", "COLOBUS_CHAP_KEY_FILE", str(other)):
        request = CreateMachine(image=tiny, flavor=RESOURCE_CLASS, deadline=DEADLINE)
        failed = await fails(client, request)
    assert failed.status.reason == Reason.DEADLINE_EXCEEDED
    assert "Ironic says active, but nobody was seen logged in to its disk." in words(failed)
    await leaves_nothing(metal, world, network, machine_of(failed).name)


async def test_a_portal_that_is_not_there_never_makes_a_machine_active(
    client: Client,
    metal: Metal,
    world: World,
    network: Cloud,
    house: Installation,
    tiny: str,
    tmp_path: Path,
) -> None:
    """The same: only the console knows more."""
    stores = yaml.safe_load((house.folder / "stores.yaml").read_text())
    (store,) = stores["stores"].values()
    address = world.tgtd.portal.rpartition(":")[0]
    store["gateway"]["portals"] = [f"{address}:9"]
    nowhere = tmp_path / "stores.yaml"
    nowhere.write_text(yaml.safe_dump(stores))
    with restarted(house, "iscsi_worker", "COLOBUS_STORES_FILE", str(nowhere)):
        request = CreateMachine(image=tiny, flavor=RESOURCE_CLASS, deadline=DEADLINE)
        failed = await fails(client, request)
    assert failed.status.reason == Reason.DEADLINE_EXCEEDED
    assert "Ironic says active, but nobody was seen logged in to its disk." in words(failed)
    await leaves_nothing(metal, world, network, machine_of(failed).name)


async def test_a_dead_board_is_told_and_its_node_goes_back_when_it_answers(
    client: Client, metal: Metal, world: World, network: Cloud, tiny: str
) -> None:
    """Ironic's words are on the machine while it waits; then nothing is left of it."""
    metal.cloud.kill("bmc")
    try:
        made = await client.create(CreateMachine(image=tiny, flavor=RESOURCE_CLASS))

        async def gave_up() -> Resource | None:
            now = await client.get(made.id)
            return now if now.status.phase in {Phase.DEPROVISIONING, Phase.FAILED} else None

        ending = await eventually(gave_up, within=BOOTS_WITHIN, what="the deployment has failed")
        assert ending.status.reason == Reason.DEPLOY_FAILED
    finally:
        metal.cloud.start("bmc")
    failed = await waited(client, made.id, Phase.FAILED, timeout=BOOTS_WITHIN)
    assert failed.status.reason == Reason.DEPLOY_FAILED
    assert "deploy" in words(failed).lower()
    await leaves_nothing(metal, world, network, machine_of(failed).name)
    await _all_can_be_had(metal)


async def _all_can_be_had(metal: Metal) -> None:
    """Ironic takes nodes whose boards did not answer out of maintenance by itself."""

    def usable() -> bool:
        return not any(node.is_maintenance for node in metal.ironic.nodes(details=True))

    await asyncio.to_thread(eventually_sync, usable, within=120, what="all nodes can be had")


@contextmanager
def maintenance(metal: Metal, *names: str) -> Iterator[None]:
    """The operator has these nodes in repair."""
    for name in names:
        metal.ironic.set_node_maintenance(name, reason="the fan is broken")
    try:
        yield
    finally:
        for name in names:
            metal.ironic.unset_node_maintenance(name)


async def _waits(client: Client, resource_id: str, reason: Reason) -> Resource:
    async def so() -> Resource | None:
        now = await client.get(resource_id)
        assert now.status.phase != Phase.FAILED, now.status
        waiting = now.status.phase == Phase.WAITING and now.status.reason == reason
        return now if waiting else None

    return await eventually(so, within=BOOTS_WITHIN, what=f"it waits: {reason}")


async def test_without_a_free_node_a_machine_waits_for_one(
    client: Client, metal: Metal, world: World, network: Cloud, tiny: str
) -> None:
    """First for the repair, then for the one before it; each time told why, and served at last."""
    request = CreateMachine(image=tiny, flavor=RESOURCE_CLASS)
    first, *others = (machine.name for machine in MACHINES)
    with maintenance(metal, *others):
        with maintenance(metal, first):
            one = await client.create(request)
            told = await _waits(client, one.id, Reason.NODE_MAINTENANCE)
            assert "the fan is broken" in str(told.status.message)
            assert world.images() == []
        await waited(client, one.id, timeout=BOOTS_WITHIN)
        two = await client.create(request)
        await _waits(client, two.id, Reason.NO_FREE_NODE)
        await client.delete(one.id)
        served = await waited(client, two.id, timeout=BOOTS_WITHIN)
        assert machine_of(served).name == first
    await client.delete(two.id)
    for each in (one, two):
        await waited(client, each.id, Phase.DELETED)
    await leaves_nothing(metal, world, network, first)


async def test_while_ceph_is_down_a_machine_waits_and_says_so(
    client: Client, metal: Metal, world: World, network: Cloud, tiny: str
) -> None:
    """In the store's words; then it goes on by itself."""
    metal.cloud.stop("ceph-mon")
    try:
        made = await client.create(CreateMachine(image=tiny, flavor=RESOURCE_CLASS))

        async def told() -> bool:
            now = await client.get(made.id)
            assert now.status.phase == Phase.PROVISIONING or now.status.reason is None
            return now.status.reason in {Reason.BACKEND_UNAVAILABLE, Reason.BACKEND_TIMEOUT}

        await eventually(told, within=120, what="it says that its store is away")
    finally:
        metal.cloud.start("ceph-mon")
    machine = await waited(client, made.id, timeout=BOOTS_WITHIN)
    await client.delete(machine.id)
    await waited(client, machine.id, Phase.DELETED)
    await leaves_nothing(metal, world, network, machine_of(machine).name)


async def test_whoever_is_killed_there_is_one_of_everything(
    client: Client, metal: Metal, world: World, network: Cloud, house: Installation, tiny: str
) -> None:
    """All that take part are killed in the middle of the making, tgtd included."""
    made = await client.create(CreateMachine(image=tiny, flavor=RESOURCE_CLASS, floating_ip=True))

    async def under_way() -> bool:
        steps = {step.name: step for step in (await client.get(made.id)).status.steps}
        return "boot" in steps and steps["boot"].state == "running"

    await eventually(under_way, within=120, what="it is being booted")
    services = ("scheduler", "baremetal_worker", "iscsi_worker", "vm_worker")
    for process in services:
        house.kill(process)
    world.tgtd.kill()
    world.tgtd.start()
    house.start(*services)
    machine = await waited(client, made.id, timeout=BOOTS_WITHIN)
    node = machine_of(machine).name
    assert len(list(metal.ironic.allocations())) == 1
    assert len(list(metal.ironic.volume_targets(node=node))) == 1
    assert len(list(metal.ironic.volume_connectors(node=node))) == 1
    assert len(world.images()) == 2
    assert network.holds(machine.id).counts == (0, 1, 1)
    await client.delete(machine.id)
    await waited(client, machine.id, Phase.DELETED)
    await leaves_nothing(metal, world, network, node)


async def test_a_node_that_its_operator_takes_away_is_the_end_of_its_machine(
    client: Client, metal: Metal, world: World, network: Cloud, tiny: str
) -> None:
    """Undeployed behind our back: told, and what it had elsewhere is cleaned up."""
    made = await client.create(CreateMachine(image=tiny, flavor=RESOURCE_CLASS))
    machine = await waited(client, made.id, timeout=BOOTS_WITHIN)
    node = machine_of(machine).name
    await asyncio.to_thread(
        metal.ironic.set_node_provision_state, node, "deleted", wait=True, timeout=120
    )
    failed = await waited(client, made.id, Phase.FAILED)
    assert failed.status.reason == Reason.REMOVED_EXTERNALLY
    await leaves_nothing(metal, world, network, node)


async def test_nothing_was_left_by_any_of_these(world: World, network: Cloud) -> None:
    """Not in the store, not on the network."""
    assert world.images() == []
    assert network.holds().counts == NOTHING
