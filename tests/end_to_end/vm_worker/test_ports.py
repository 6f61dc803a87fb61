from __future__ import annotations

import asyncio

import pytest

from services.vm_worker.provisioner.kit import mac_address
from shared.contract.messages import ReleaseVmPort, VmPortReleased
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.errors import NotFound, Refused, RefusedForNow
from tests.end_to_end.vm_worker.world import CLOUD, Replica, World, only


async def test_prepare_vm_port_makes_one_marked_port(world: World, replica: Replica) -> None:
    """Name, description, tags and address say whose it is."""
    vm = replica.vm()
    made = await vm.port()
    port = world.admin.network.get_port(made.port_id)
    marks = replica.context.kit.marks
    assert port.name == vm.id
    assert port.description == marks.description(vm.id)
    assert set(port.tags) == set(marks.tags(vm.id))
    assert port.project_id == world.projects["bigtop"]
    assert made.mac_address == port.mac_address == mac_address(vm.id)
    assert made.fixed_ips == tuple(ip["ip_address"] for ip in port.fixed_ips)
    assert made.network_id == port.network_id


async def test_prepare_vm_port_twice_is_one_port(replica: Replica, other_replica: Replica) -> None:
    """Repeated here, repeated elsewhere, and delivered again without a word: always the same."""
    vm = replica.vm()
    made = await vm.port()
    assert await vm.port(repeated=True) == made
    assert await vm.by(other_replica).port(repeated=True) == made
    assert await vm.by(other_replica).port() == made
    assert await replica.held(vm) == ["port"]


async def test_prepare_vm_port_twice_at_once_is_one_port(
    replica: Replica, other_replica: Replica
) -> None:
    """Two replicas at the same moment: Neutron lets only one have the address."""
    vm = replica.vm()
    first, second = await asyncio.gather(vm.port(), vm.by(other_replica).port(repeated=True))
    assert first == second
    assert await replica.held(vm) == ["port"]


async def test_prepare_vm_port_whose_answer_was_lost_is_found_again(
    world: World, replica: Replica
) -> None:
    """A time-out says nothing of the outcome; the next attempt looks, and completes the tags."""
    async with world.replica() as losing:
        vm = losing.vm()
        await losing.vm().port()  # so that only the POST itself is cut short
        losing.lose_answers()
        with pytest.raises(TemporaryError) as lost:
            await vm.port()
    assert lost.value.reason == Reason.BACKEND_UNAVAILABLE
    made = await vm.by(replica).port(repeated=True)
    assert await replica.held(vm) == ["port"]
    tags = world.admin.network.get_port(made.port_id).tags
    assert set(tags) == set(replica.context.kit.marks.tags(vm.id))


async def test_prepare_vm_port_on_a_named_network_with_security_groups(
    world: World, replica: Replica
) -> None:
    """Both by name, and the network by its id as well."""
    project = world.in_project("bigtop")
    network = project.network.create_network(name="named")
    project.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.1.0.0/24")
    group = project.network.create_security_group(name="web")
    vm = replica.vm()
    made = await vm.port(network="named", security_groups=("web", "default"))
    assert made.network_id == network.id
    groups = world.admin.network.get_port(made.port_id).security_group_ids
    assert len(groups) == 2
    assert group.id in groups
    assert (await replica.vm().port(network=network.id)).network_id == network.id


async def test_a_network_that_was_made_anew_under_its_name_is_found(
    world: World, replica: Replica
) -> None:
    """What a name meant the last time is not taken for granted."""
    project = world.in_project("bigtop")
    for cidr in ("10.2.0.0/24", "10.3.0.0/24"):
        network = project.network.create_network(name="renewed")
        project.network.create_subnet(network_id=network.id, ip_version=4, cidr=cidr)
        vm = replica.vm()
        assert (await vm.port(network="renewed")).network_id == network.id
        await vm.do(ReleaseVmPort(cloud=CLOUD, port_id=vm.port_id))
        project.network.delete_network(network)


async def test_what_is_missing_is_named(world: World, replica: Replica) -> None:
    """Nobody's network, another tenant's network, nobody's group: each with its own reason."""
    foreign = world.in_project("openlab").network.create_network(name="foreign")
    for network in ("nowhere", foreign.name, foreign.id):
        with pytest.raises(NotFound) as missing:
            await replica.vm().port(network=network)
        assert missing.value.reason == Reason.NETWORK_NOT_FOUND
        assert network in missing.value.detail
    with pytest.raises(NotFound) as missing:
        await replica.vm().port(security_groups=("nosuchgroup",))
    assert missing.value.reason == Reason.SECURITY_GROUP_NOT_FOUND


async def test_a_name_that_means_two_networks_is_refused(world: World, replica: Replica) -> None:
    """Rather than taking one by chance."""
    project = world.in_project("bigtop")
    for _ in range(2):
        project.network.create_network(name="twice")
    with pytest.raises(Refused, match="2 networks"):
        await replica.vm().port(network="twice")


async def test_a_full_network_says_so(world: World, replica: Replica) -> None:
    """Addresses may come free: the same request may succeed later."""
    project = world.in_project("bigtop")
    network = project.network.create_network(name="tiny")
    project.network.create_subnet(
        network_id=network.id, ip_version=4, cidr="10.4.0.0/30", is_dhcp_enabled=False
    )
    await replica.vm().port(network="tiny")
    with pytest.raises(RefusedForNow) as full:
        await replica.vm().port(network="tiny")
    assert full.value.reason == Reason.ADDRESSES_EXHAUSTED
    assert full.value.problem().retryable


async def test_over_neutrons_quota_says_so(world: World, replica: Replica) -> None:
    """The step fails, the request may succeed later."""
    await replica.vm("openlab").port()
    used = len(list(world.admin.network.ports(project_id=world.projects["openlab"])))
    with world.network_quota("openlab", ports=used), pytest.raises(RefusedForNow) as over:
        await replica.vm("openlab").port()
    assert over.value.reason == Reason.QUOTA_EXCEEDED


async def test_release_vm_port_by_id_by_marks_and_again(
    replica: Replica, other_replica: Replica
) -> None:
    """Known or not, made here or elsewhere, there or gone: it ends in released."""
    for release_by, knows_id in ((replica, True), (other_replica, True), (other_replica, False)):
        vm = replica.vm()
        await vm.port()
        message = ReleaseVmPort(cloud=CLOUD, port_id=vm.port_id if knows_id else None)
        for _ in range(2):
            answer = only(await vm.by(release_by).do(message), VmPortReleased)
            assert answer == VmPortReleased()
        assert await replica.held(vm) == []
    never_made = replica.vm()
    only(await never_made.do(ReleaseVmPort(cloud=CLOUD)), VmPortReleased)


async def test_a_port_that_a_server_is_on_is_not_released(
    replica: Replica, other_replica: Replica
) -> None:
    """First the server goes, then its port."""
    vm = replica.vm()
    await vm.port()
    await vm.server()
    await vm.active()
    with pytest.raises(TemporaryError, match="still in use"):
        await vm.by(other_replica).do(ReleaseVmPort(cloud=CLOUD))
    await vm.remove()
    assert await replica.held(vm) == []


async def test_ports_of_others_are_never_touched(world: World, other_replica: Replica) -> None:
    """Not by a name like ours, not by an id that isn't ours, not those of another installation."""
    project = world.in_project("bigtop")
    network = project.network.create_network(name="strangers")
    vm = other_replica.vm()
    marks = other_replica.context.kit.marks
    strangers = [
        project.network.create_port(network_id=network.id, name=vm.id),
        project.network.create_port(
            network_id=network.id,
            name=vm.id,
            description=marks.description(vm.id).replace(marks.installation_id, "another"),
        ),
    ]
    for port_id in (None, *(port.id for port in strangers)):
        only(await vm.do(ReleaseVmPort(cloud=CLOUD, port_id=port_id)), VmPortReleased)
    await vm.port(repeated=True)
    assert vm.port_id not in {port.id for port in strangers}
    for port in strangers:
        assert world.admin.network.get_port(port.id)
