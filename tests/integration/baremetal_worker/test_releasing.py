"""A node is given back clean from wherever it is."""

from __future__ import annotations

from typing import Any

from shared.contract.messages import ReleaseNode
from tests.integration.baremetal_worker.world import METAL, Machine, Replica, World


async def test_one_that_was_only_reserved(world: World, replica: Replica) -> None:
    """By its id, or by the machine's name where it was never told; twice."""
    with world.nodes(1) as flavor:
        machine = await replica.machine(flavor)
        node_id = machine.node_id
        await machine.release()
        world.assert_clean(node_id)
        assert world.allocations(flavor) == []
        unknown = await replica.machine(flavor)
        unknown.node_id = ""
        for _ in range(2):
            assert (await unknown.release()).quarantined is None
        world.assert_clean(node_id)
        assert world.allocations(flavor) == []


async def test_one_that_an_operator_has_switched_on(world: World, replica: Replica) -> None:
    """It goes off first."""
    with world.nodes(1) as flavor:
        machine = await replica.machine(flavor)
        world.ironic.set_node_power_state(machine.node, "power on", wait=True, timeout=60)
        async with world.replica(quarantine_seconds=600) as patient:
            await machine.on(patient).release()
        world.assert_clean(machine.node_id)


async def test_one_that_was_prepared_but_never_deployed(world: World, replica: Replica) -> None:
    """All that a deployment begins with is taken away."""
    with world.nodes(1) as flavor:
        machine = await replica.machine(flavor)
        world.ironic.create_volume_connector(
            node_uuid=machine.node_id, type="iqn", connector_id=machine.initiator
        )
        world.ironic.update_node(machine.node, instance_info={"display_name": "x"})
        await machine.release()
        world.assert_clean(machine.node_id)


async def test_one_that_is_deployed(world: World, replica: Replica) -> None:
    """After it is undeployed, and without."""
    with world.nodes(1) as flavor:
        for first_undeployed in (True, False):
            machine = await replica.running(flavor)
            if first_undeployed:
                await machine.undeploy()
            assert (await machine.release()).quarantined is None
            world.assert_clean(machine.node_id)
            assert world.allocations(flavor) == []
            assert (await machine.look()).gone


async def test_one_that_another_machine_has_by_now(world: World, replica: Replica) -> None:
    """Of that one nothing is touched; the connector that the first has left there goes."""
    with world.nodes(1) as flavor:
        first = await replica.running(flavor)
        await first.undeploy()
        second = await replica.machine(flavor)
        assert second.node_id == first.node_id
        assert world.disks(first.node_id) == (1, 0)  # its own, which it was known by
        before = _as_it_was_left(await second.idle_node())
        await first.release()
        assert world.disks(first.node_id) == (0, 0)
        after = _as_it_was_left(await second.idle_node())
        assert (after, after["instance_uuid"]) == (before, second.allocation_id)
        await second.deploy()
        await second.until("active")
        await first.release()
        assert world.disks(second.node_id) == (1, 1)
        assert (await first.look()).gone


async def test_one_that_an_operator_keeps_in_maintenance(world: World, replica: Replica) -> None:
    """It is cleaned, and stays what the operator has made of it."""
    with world.nodes(1) as flavor:
        machine = await replica.running(flavor)
        world.ironic.set_node_maintenance(machine.node, "a fan is broken")
        assert (await machine.release()).quarantined is None
        node = machine.node
        assert node.maintenance_reason == "a fan is broken"
        world.ironic.unset_node_maintenance(node)
        world.assert_clean(machine.node_id)


async def test_nodes_that_are_not_there(world: World, replica: Replica) -> None:
    """There is nothing to give back."""
    machine = Machine(replica, "x", node_id="00000000-0000-4000-8000-000000000000")
    assert (await machine.release()).quarantined is None
    with world.nodes(1):  # Ironic shows others
        assert (await machine.look()).gone
    await machine.undeploy()
    await replica.do(machine.id, ReleaseNode(metal=METAL))


def _as_it_was_left(node: Any) -> dict[str, Any]:
    """All of it but its last write's time: taking a connector away locks it, which is a write."""
    shown = dict(node.to_dict(original_names=True))
    assert shown.pop("updated_at")
    return shown
