from __future__ import annotations

import asyncio

import pytest

from shared.contract.identifiers import new_id
from shared.contract.messages import FloatingIpReleased, ReleaseFloatingIp, ReleaseVmPort
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.errors import Conflict, RefusedForNow
from tests.end_to_end.vm_worker.world import CLOUD, Replica, Vm, World, only


async def test_associate_floating_ip_makes_one_marked_floating_ip(
    world: World, replica: Replica
) -> None:
    """On the VM's port at once, and known as ours."""
    vm = replica.vm()
    await vm.port()
    made = await vm.floating_ip()
    ip = world.admin.network.get_ip(made.floating_ip_id)
    marks = replica.context.kit.marks
    assert ip.floating_ip_address == made.floating_ip_address
    assert ip.port_id == vm.port_id
    assert ip.description == marks.description(vm.id)
    assert set(ip.tags) == set(marks.tags(vm.id))


async def test_a_machine_has_its_port_and_floating_ip_as_a_vm_has(replica: Replica) -> None:
    """Made once, known as its own, and given back."""
    machine = Vm(replica, "bigtop", new_id("machine"))
    port = await machine.port()
    assert await machine.port(repeated=True) == port
    made = await machine.floating_ip()
    assert await machine.floating_ip(repeated=True) == made
    assert await replica.held(machine) == ["floating_ip", "port"]
    await machine.do(ReleaseFloatingIp(cloud=CLOUD, floating_ip_id=made.floating_ip_id))
    await machine.do(ReleaseVmPort(cloud=CLOUD, port_id=port.port_id))
    assert await replica.held(machine) == []


async def test_associate_floating_ip_twice_is_one(replica: Replica, other_replica: Replica) -> None:
    """Repeated or not, here or elsewhere."""
    vm = replica.vm()
    await vm.port()
    made = await vm.floating_ip()
    assert await vm.floating_ip(repeated=True) == made
    assert await vm.by(other_replica).floating_ip(repeated=True) == made
    assert await vm.by(other_replica).floating_ip() == made
    assert await replica.held(vm) == ["floating_ip", "port"]


async def test_associate_floating_ip_twice_at_once_is_one(
    replica: Replica, other_replica: Replica
) -> None:
    """Neutron lets a port have only one; both get to know which."""
    vm = replica.vm()
    await vm.port()
    first, second = await asyncio.gather(
        vm.floating_ip(), vm.by(other_replica).floating_ip(repeated=True)
    )
    assert first == second
    assert await replica.held(vm) == ["floating_ip", "port"]


async def test_associate_floating_ip_whose_answer_was_lost_is_found_again(
    world: World, replica: Replica
) -> None:
    """The next attempt finds it, and completes its tags."""
    async with world.replica() as losing:
        vm = losing.vm()
        await vm.port()
        other = losing.vm()
        await other.port()
        await other.floating_ip()  # so that only the POST itself is cut short
        losing.lose_answers()
        with pytest.raises(TemporaryError):
            await vm.floating_ip()
    made = await vm.by(replica).floating_ip(repeated=True)
    assert await replica.held(vm) == ["floating_ip", "port"]
    tags = world.admin.network.get_ip(made.floating_ip_id).tags
    assert set(tags) == set(replica.context.kit.marks.tags(vm.id))


async def test_somebody_elses_floating_ip_on_the_port_is_not_taken_for_ours(
    world: World, replica: Replica
) -> None:
    """The step fails with Neutron's words, and theirs stays."""
    vm = replica.vm()
    await vm.port()
    project = world.in_project("bigtop")
    external = project.network.find_network("external")
    theirs = project.network.create_ip(floating_network_id=external.id, port_id=vm.port_id)
    with pytest.raises(Conflict):
        await vm.floating_ip()
    for floating_ip_id in (None, theirs.id):
        message = ReleaseFloatingIp(cloud=CLOUD, port_id=vm.port_id, floating_ip_id=floating_ip_id)
        only(await vm.do(message), FloatingIpReleased)
    assert world.admin.network.get_ip(theirs.id).port_id == vm.port_id
    world.admin.network.delete_ip(theirs)


async def test_over_neutrons_quota_says_so(world: World, replica: Replica) -> None:
    """The same request may succeed later."""
    vm = replica.vm("openlab")
    await vm.port()
    with world.network_quota("openlab", floating_ips=0), pytest.raises(RefusedForNow) as over:
        await vm.floating_ip()
    assert over.value.reason == Reason.QUOTA_EXCEEDED


async def test_release_floating_ip_by_id_by_marks_and_again(
    replica: Replica, other_replica: Replica
) -> None:
    """Known or not, there or gone: it ends in released."""
    for knows_id in (True, False):
        vm = replica.vm()
        await vm.port()
        await vm.floating_ip()
        message = ReleaseFloatingIp(
            cloud=CLOUD, floating_ip_id=vm.floating_ip_id if knows_id else None
        )
        for _ in range(2):
            only(await vm.by(other_replica).do(message), FloatingIpReleased)
        assert await replica.held(vm) == ["port"]


async def test_a_floating_ip_whose_description_was_changed_is_still_released(
    world: World, replica: Replica
) -> None:
    """Users may write there; our tags remain."""
    vm = replica.vm()
    await vm.port()
    await vm.floating_ip()
    world.admin.network.update_ip(vm.floating_ip_id, description="my web server")
    message = ReleaseFloatingIp(cloud=CLOUD, floating_ip_id=vm.floating_ip_id)
    only(await vm.do(message), FloatingIpReleased)
    assert await replica.held(vm) == ["port"]
