"""What a metal holds of ours is told, and what nobody needs any more is removed by order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.contract.messages import Holding, OrphanRemoved
from shared.worker.errors import Refused
from tests.integration.baremetal_worker.world import METAL, TENANT, Replica, World, only


async def test_a_census_tells_what_there_is(world: World, replica: Replica) -> None:
    """Of this installation alone, each with whose it is."""
    with world.nodes(3) as flavor:
        reserved, running = await replica.machine(flavor), await replica.running(flavor)
        async with world.replica(installation_id="another") as stranger:
            foreign = await stranger.machine(flavor)
            told = await replica.census()
            assert {(one.what, one.resource_id) for one in told} == {
                ("allocation", reserved.id),
                ("allocation", running.id),
                ("volume_target", running.id),
                ("volume_connector", running.id),
            }
            assert {(one.place, one.tenant) for one in told} == {(METAL, TENANT)}
            assert {one.resource_id for one in await stranger.census()} == {foreign.id}


async def test_orphans_take_their_node_along(world: World, replica: Replica) -> None:
    """Whichever of them is named first; in the end the node is given back clean."""
    with world.nodes(1) as flavor:
        for first in ("allocation", "volume_target", "volume_connector"):
            machine = await replica.running(flavor)
            orphans = sorted(await replica.census(), key=lambda one: one.what != first)
            assert orphans[0].what == first
            for orphan in orphans:
                removed = only(await replica.remove(orphan, machine.id), OrphanRemoved)
                assert (removed.what, removed.object_id) == (orphan.what, orphan.id)
            world.assert_clean(machine.node_id)
            assert await replica.census() == []


async def test_an_orphan_on_anothers_node_goes_alone(world: World, replica: Replica) -> None:
    """The node goes on as that one's."""
    with world.nodes(1) as flavor:
        machine = await replica.machine(flavor)
        ended = replace(machine, id="machine-ended")
        world.ironic.create_volume_connector(
            node_uuid=machine.node_id,
            type="iqn",
            connector_id=f"iqn.2026-11.org.test:{machine.id}",
            extra=ended.mark,
        )
        (orphan,) = [one for one in await replica.census() if one.what == "volume_connector"]
        await replica.remove(orphan, "machine-ended")
        assert world.disks(machine.node_id) == (0, 0)
        (allocation,) = world.allocations(flavor)
        assert machine.node.instance_id == allocation.id == machine.allocation_id


async def test_what_is_not_the_resources_stays(world: World, replica: Replica) -> None:
    """Another resource's, another installation's, and what is no such thing."""
    with world.nodes(1) as flavor:
        machine = await replica.machine(flavor)
        (mine,) = await replica.census()
        async with world.replica(installation_id="another") as stranger:
            for worker, whose in ((replica, "machine-other"), (stranger, machine.id)):
                with pytest.raises(Refused):
                    await worker.remove(mine, whose)
        strange = Holding(what="node", id=machine.node_id, place=METAL, tenant=TENANT)
        with pytest.raises(Refused):
            await replica.remove(strange, machine.id)
        assert len(world.allocations(flavor)) == 1


async def test_with_a_census_comes_how_many_nodes_are_free(world: World, replica: Replica) -> None:
    """A reserved one serves, one in maintenance doesn't; each arch is counted by itself."""
    with world.nodes(3) as flavor:
        nodes = world.of_class(flavor)
        assert await replica.capacity(flavor) == (3, 3)
        world.ironic.add_node_trait(nodes[0], "HW_ARCH_AARCH64")
        assert await replica.capacity(flavor, "aarch64") == (1, 1)
        machine = await replica.machine(flavor)
        assert await replica.capacity(flavor) == (3, 2)
        other = next(node for node in nodes if node.id != machine.node_id)
        world.ironic.set_node_maintenance(other, "its fan is broken")
        assert await replica.capacity(flavor) == (2, 1)
        await machine.release()
        assert await replica.capacity(flavor) == (2, 2)
