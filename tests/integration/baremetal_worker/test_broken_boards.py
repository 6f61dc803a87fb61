"""A node whose board does not answer: Ironic can neither deploy it nor get it back.

The node's board is an address where nothing listens. Ironic would never enrol such a one, so that
it was well before is written into Ironic's own table; all that follows is Ironic's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from colobus.nodes.node_list import ListedNode, Login, NodeEntry, RedfishBoard
from devcloud.components.mariadb import query
from shared.contract.messages import MachineUndeployed, MachineUndeployStarted
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.errors import Refused, RefusedForNow
from tests.integration.baremetal_worker.world import WITHIN, Machine, Replica, World
from tests.support.conditions import eventually, eventually_sync
from tests.support.installation import free_ports

pytestmark = pytest.mark.timeout(600)


@contextmanager
def _dead_node(world: World) -> Iterator[str]:
    """A node that is available, though its board is dead; its class is given."""
    name = f"{world.installation}-{next(world.numbers)}"
    (port,) = free_ports(1)
    card = ":".join(f"{octet:02x}" for octet in (0x52, 0x54, *os.urandom(4)))
    board = RedfishBoard(address=f"http://127.0.0.1:{port}", system="/redfish/v1/Systems/1")
    entry = NodeEntry(
        name=name, resource_class=name, arch="x86_64", boot_mode="bios", ports=(card,), bmc={}
    )
    node = ListedNode(entry, board, Login(username="nobody", password="nothing"))
    made = world.ironic.create_node(**node.fields())
    try:
        world.ironic.set_node_traits(made, sorted(node.traits))
        world.ironic.create_port(node_uuid=made.id, address=card)
        _write(world, made.id, provision_state="available", power_state="power off")
        yield name
    finally:
        eventually_sync(
            lambda: world.ironic.get_node(made.id).reservation is None, what="it is not locked"
        )
        world.forget([name])


def _write(world: World, node_id: str, **fields: str) -> None:
    values = ", ".join(f"{name} = '{value}'" for name, value in fields.items())
    statement = f"UPDATE ironic.nodes SET {values} WHERE uuid = '{node_id}'"
    query(world.cloud.site, statement)


async def test_a_node_that_can_not_be_got_back_is_put_aside(world: World, replica: Replica) -> None:
    """After several attempts: nobody gets it, its words say why, and the machine is rid of it."""
    with _dead_node(world) as flavor:
        machine = await replica.machine(flavor)
        await machine.deploy()

        async def settled() -> str | None:
            seen = await machine.look()
            return seen.last_error if seen.provision_state == "deploy failed" else None

        words = await eventually(settled, within=WITHIN, what="its deployment has failed")
        assert words
        tries = 0

        async def undeployed() -> bool:
            nonlocal tries
            (told,) = await replica.until_done(machine.id, machine.undeploying)
            tries += isinstance(told, MachineUndeployStarted)
            return isinstance(told, MachineUndeployed)

        await eventually(undeployed, within=WITHIN, what="it is put aside")
        assert tries >= 2
        released = await machine.release()
        assert released.quarantined
        node = machine.node
        assert node.is_maintenance
        assert node.maintenance_reason == (
            f"Colobus: could not be given back clean after {machine.id}: {released.quarantined}"
        )
        assert node.fault is None  # else Ironic would take it out of maintenance by itself
        assert world.allocations(flavor) == []
        assert await machine.release() == released
        assert [one for one in await replica.census() if one.resource_id == machine.id] == []
        with pytest.raises(RefusedForNow) as caught:
            await Machine(replica, flavor).reserve()
        assert caught.value.reason == Reason.NODE_MAINTENANCE
        # The next one may be another tenant: it learns that, not after whose machine.
        assert f"{node.name}: put aside by Colobus" in caught.value.detail
        assert machine.id not in caught.value.detail


async def test_a_passing_fault_puts_nothing_aside(world: World) -> None:
    """The node comes back within the patience that there is: it is given back clean."""
    async with world.replica(quarantine_seconds=600) as replica:
        with world.nodes(1) as flavor:
            machine = await replica.running(flavor)
            _write(world, machine.node_id, provision_state="error", last_error="no answer")
            await machine.undeploy()
            assert (await machine.release()).quarantined is None
            world.assert_clean(machine.node_id)


async def test_a_cleaning_that_failed_is_tried_again(world: World) -> None:
    """Ironic has put the node in maintenance itself; it is taken out, and made available."""
    async with world.replica(quarantine_seconds=600) as replica:
        with world.nodes(1) as flavor:
            machine = await replica.running(flavor)
            await machine.undeploy()
            _write(
                world,
                machine.node_id,
                provision_state="clean failed",
                maintenance="1",
                fault="clean failure",
                maintenance_reason="a step failed",
            )
            assert (await machine.release()).quarantined is None
            world.assert_clean(machine.node_id)


async def test_a_deployment_that_failed_is_told_and_given_back(
    world: World, replica: Replica
) -> None:
    """It is not made again in place: who logged in the first time would prove the second one."""
    with world.nodes(1) as flavor:
        for again in (True, False):
            machine = await replica.running(flavor)
            _write(world, machine.node_id, provision_state="deploy failed")
            if again:
                with pytest.raises(Refused) as caught:
                    await machine.deploy()
                assert caught.value.reason == Reason.DEPLOY_FAILED
            assert (await machine.release()).quarantined is None
            world.assert_clean(machine.node_id)


async def test_what_ironic_finds_wrong_is_told_in_its_words(world: World, replica: Replica) -> None:
    """Nothing is deployed then."""
    with _dead_node(world) as flavor:
        machine = await replica.machine(flavor)
        node = machine.node
        patch = [{"op": "remove", "path": "/driver_info/redfish_address"}]
        world.ironic.patch_node(node, patch)
        with pytest.raises(Refused) as caught:
            await machine.deploy()
        assert "redfish_address" in caught.value.detail
        assert machine.node.provision_state == "available"


async def test_a_node_that_resists_is_waited_for_first(world: World, replica: Replica) -> None:
    """While there is patience its release fails for now; then it stays in maintenance for good.

    Not in the maintenance that Ironic had it in, which Ironic ends when a board answers again.
    """
    with _dead_node(world) as flavor:
        machine = await replica.machine(flavor)
        _write(world, machine.node_id, power_state="power on")
        async with world.replica(quarantine_seconds=600) as patient:
            for _ in range(2):
                with pytest.raises(TemporaryError) as caught:
                    await patient.do(machine.id, machine.releasing)
                assert caught.value.reason == Reason.IN_USE
        assert machine.node.extra["colobus"]["tries"] >= 1
        await eventually(
            lambda: _is_idle(machine), within=WITHIN, what="Ironic has given up switching it"
        )
        reason = "Ironic lost touch with it"
        fields = {"maintenance": "1", "fault": "power failure", "maintenance_reason": reason}
        _write(world, machine.node_id, **fields)
        assert (await machine.release()).quarantined
        node = machine.node
        assert (node.is_maintenance, node.fault) == (True, None)
        assert machine.id in node.maintenance_reason


async def _is_idle(machine: Machine) -> bool:
    return (await machine.look()).target_power_state is None
