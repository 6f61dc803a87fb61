"""A node is reserved once, for one machine; where there is none, the answer says why."""

from __future__ import annotations

import asyncio

import pytest

from shared.contract.messages import NodeReserved, ReserveNode
from shared.contract.problems import Reason
from shared.runtime.errors import PermanentError
from shared.worker.errors import NotFound, RefusedForNow
from tests.integration.baremetal_worker.world import METAL, Machine, Replica, World


async def test_reserving_twice_gives_one_node(world: World, replica: Replica) -> None:
    """By another process too; the allocation says whose it is, and what that is called."""
    with world.nodes(2) as flavor:
        machine = Machine(replica, flavor)
        first = await machine.reserve(name="build-box")
        async with world.replica() as other:
            assert await machine.on(other).reserve(arch="x86_64") == first
        (allocation,) = world.allocations(flavor)
        assert (allocation.name, allocation.node_id) == (machine.id, first.node_id)
        assert machine.node.instance_id == allocation.id == first.allocation_id
        mark = allocation.extra["colobus"]
        assert (mark["resource"], mark["name"]) == (machine.id, "build-box")
        assert machine.node.extra == {}
        assert machine.node.name == first.node_name


async def test_ten_at_once_share_three_nodes(world: World, replica: Replica) -> None:
    """Each of the three is one's alone; the others learn that none is free, for now."""
    with world.nodes(3) as flavor:
        machines = [Machine(replica, flavor) for _ in range(10)]
        told = await asyncio.gather(
            *(machine.reserve() for machine in machines), return_exceptions=True
        )
        made = [one for one in told if isinstance(one, NodeReserved)]
        refused = [one for one in told if isinstance(one, RefusedForNow)]
        assert len(made) + len(refused) == 10
        assert len({one.node_id for one in made}) == 3
        assert {one.reason for one in refused} == {Reason.NO_FREE_NODE}
        assert refused[0].problem().retryable
        assert "no available nodes match" in refused[0].detail or refused[0].detail
        assert len(world.allocations(flavor)) == 3  # none is left of those refused


async def test_the_refused_one_gets_a_node_when_one_is_free(world: World, replica: Replica) -> None:
    """What was refused stands in nobody's way."""
    with world.nodes(1) as flavor:
        first, second = await replica.machine(flavor), Machine(replica, flavor)
        with pytest.raises(RefusedForNow):
            await second.reserve()
        await first.release()
        assert (await second.reserve()).node_id == first.node_id


async def test_no_such_node_is_no_valid_host(world: World, replica: Replica) -> None:
    """In Ironic's words; of a class, and of an architecture."""
    with world.nodes(1) as flavor:
        for machine, arch in (
            (Machine(replica, "no-such-class"), None),
            (Machine(replica, flavor), "aarch64"),
        ):
            with pytest.raises(PermanentError) as caught:
                await machine.reserve(arch=arch)
            assert caught.value.reason == Reason.NO_VALID_HOST
            assert (
                "no available nodes match" in caught.value.detail
                or "HW_ARCH_AARCH64" in caught.value.detail
            )
            assert not caught.value.retryable


async def test_nodes_in_maintenance_are_named_with_their_reason(
    world: World, replica: Replica
) -> None:
    """Where others are there too, those count."""
    with world.nodes(2) as flavor:
        one, two = world.of_class(flavor)
        world.ironic.set_node_maintenance(one, "a fan is broken")
        holder = await replica.machine(flavor)
        assert holder.node_id == two.id
        with pytest.raises(RefusedForNow) as caught:
            await Machine(replica, flavor).reserve()
        assert caught.value.reason == Reason.NO_FREE_NODE
        world.ironic.set_node_maintenance(two, "so is this one's")
        with pytest.raises(RefusedForNow) as caught:
            await Machine(replica, flavor).reserve()
        assert caught.value.reason == Reason.NODE_MAINTENANCE
        assert "a fan is broken" in caught.value.detail


async def test_a_flavor_is_what_the_metals_file_says(world: World) -> None:
    """Class and traits; an unknown one is refused before Ironic is asked."""
    with world.nodes(1) as resource_class:
        (node,) = world.of_class(resource_class)
        world.ironic.set_node_traits(node, ["HW_ARCH_X86_64", "CUSTOM_FAST"])
        fast = {"resource_class": resource_class, "traits": ["CUSTOM_FAST"]}
        wide = {"resource_class": resource_class, "traits": ["CUSTOM_WIDE"]}
        file = world.metals_file(flavors={"fast": fast, "wide": wide})
        async with world.replica(metals_file=file) as replica:
            with pytest.raises(NotFound) as caught:
                await Machine(replica, resource_class).reserve()
            assert caught.value.reason == Reason.FLAVOR_NOT_FOUND
            with pytest.raises(PermanentError) as refused:
                await Machine(replica, "wide").reserve()
            assert refused.value.reason == Reason.NO_VALID_HOST
            assert (await Machine(replica, "fast").reserve()).node_id == node.id


async def test_an_unknown_metal_is_refused(replica: Replica) -> None:
    """No such entry in the file."""
    with pytest.raises(PermanentError) as caught:
        await replica.do("machine-x", ReserveNode(metal=f"no-{METAL}", flavor="x"))
    assert caught.value.reason == Reason.NO_METAL
