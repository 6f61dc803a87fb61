from __future__ import annotations

import asyncio

from services.vm_worker.queries import get_vm_catalog
from shared.contract.messages import (
    GetVmCatalog,
    InspectVms,
    VmInspection,
    VmInspectionFailed,
    VmObserved,
)
from shared.contract.problems import Reason
from shared.worker.command import Observation
from tests.end_to_end.vm_worker.world import CLOUD, Replica, Vm, World, api_calls


async def observe(replica: Replica, vms: list[VmInspection]) -> dict[str, VmObserved]:
    message = InspectVms(cloud=CLOUD, vms=tuple(vms))
    seen = {}
    for one in await replica.do(f"vm_worker/{CLOUD}", message, tenant="colobus"):
        assert isinstance(one, Observation)
        assert isinstance(one.message, VmObserved)
        seen[one.resource_id] = one.message
    return seen


async def build(vm: Vm) -> Vm:
    await vm.port()
    await vm.server()
    return vm


async def test_inspect_vms_asks_each_cloud_once_for_all_of_a_tenant(replica: Replica) -> None:
    """One list of servers, one of ports, one of floating IPs, however many VMs there are."""
    vms = await asyncio.gather(*(build(replica.vm()) for _ in range(3)))
    await vms[0].floating_ip()
    for vm in vms:
        await vm.until(lambda seen: seen.port_status == "ACTIVE")
    before = api_calls("compute"), api_calls("network")
    seen = await observe(replica, [vm.inspection for vm in vms])
    assert (api_calls("compute") - before[0], api_calls("network") - before[1]) == (1, 2)
    for vm in vms:
        assert seen[vm.id].server_id == vm.server_id
        assert (seen[vm.id].server_status, seen[vm.id].port_status) == ("ACTIVE", "ACTIVE")
    assert seen[vms[0].id].floating_ip_port_id == vms[0].port_id
    assert seen[vms[0].id].floating_ip_address
    assert seen[vms[1].id].floating_ip_port_id is None
    await asyncio.gather(*(vm.remove() for vm in vms))


async def test_a_vm_that_is_building_costs_one_call(replica: Replica) -> None:
    """Only of a running server it matters whether its port is up."""
    vm = replica.vm()
    await vm.port()
    await vm.server(flavor="slow")
    before = api_calls()
    seen = await vm.look()
    assert api_calls() - before == 1
    assert (seen.server_status, seen.port_status) == ("BUILD", None)
    await vm.remove()


async def test_a_vm_is_found_by_its_tag_when_its_id_was_never_learnt(replica: Replica) -> None:
    """The observation tells the id; a VM that never was is gone."""
    vm = await build(replica.vm())
    known = vm.server_id
    vm.server_id = None
    never_made = replica.vm().inspection
    seen = await observe(replica, [vm.inspection, never_made])
    assert seen[vm.id].server_id == known
    assert seen[never_made.resource_id].gone
    vm.server_id = known
    await vm.remove()


async def test_a_server_that_lost_its_tags_is_not_called_gone(
    world: World, replica: Replica
) -> None:
    """Users may take tags away: what the list lacks is asked for by id."""
    vm = await build(replica.vm())
    world.admin.compute.delete(f"/servers/{vm.server_id}/tags", microversion="2.26")
    seen = await vm.look()
    assert not seen.gone
    assert seen.server_id == vm.server_id
    await vm.remove()


async def test_a_server_that_somebody_removed_is_gone(world: World, replica: Replica) -> None:
    """The ledger hears of it with the next inspection."""
    vm = await build(replica.vm())
    await vm.active()
    world.admin.compute.delete_server(vm.server_id)
    seen = await vm.until(lambda seen: seen.gone)
    assert seen.server_id == vm.server_id
    await vm.remove()


async def test_vms_of_several_tenants_are_each_seen_in_their_own_project(
    replica: Replica,
) -> None:
    """And one that we know nothing of fails alone, with its reason."""
    vms = [await build(replica.vm("bigtop")), await build(replica.vm("openlab"))]
    stranger = VmInspection(resource_id="vm-x", tenant="nobody")
    message = InspectVms(cloud=CLOUD, vms=(*(vm.inspection for vm in vms), stranger))
    answers = await replica.do(f"vm_worker/{CLOUD}", message, tenant="colobus")
    seen = [one for one in answers if isinstance(one, Observation)]
    assert len(seen) == len(answers) == 3
    observed = {one.tenant: one.message for one in seen}
    for vm in vms:
        looked = observed[vm.tenant]
        assert isinstance(looked, VmObserved)
        assert looked.server_id == vm.server_id
    failed = observed["nobody"]
    assert isinstance(failed, VmInspectionFailed)
    assert failed.resource_ids == ("vm-x",)
    assert failed.problem.reason == Reason.NO_CLOUD
    await asyncio.gather(*(vm.remove() for vm in vms))


async def test_a_vm_is_not_seen_through_another_tenants_project(replica: Replica) -> None:
    """A server's true id says nothing to the wrong tenant, whose own VMs are seen as ever."""
    theirs, own = await build(replica.vm("bigtop")), await build(replica.vm("openlab"))
    foreign = VmInspection(resource_id=theirs.id, tenant="openlab", server_id=theirs.server_id)
    message = InspectVms(cloud=CLOUD, vms=(foreign, own.inspection))
    answers = await replica.do(f"vm_worker/{CLOUD}", message, tenant="colobus")
    seen = [one for one in answers if isinstance(one, Observation)]
    observed = {one.resource_id: one.message for one in seen}
    mine = observed.pop(own.id)
    assert isinstance(mine, VmObserved)
    assert mine.server_id == own.server_id
    # Nova says that there is none, or (403) that it is none of our business.
    (nothing,) = observed.values()
    if isinstance(nothing, VmObserved):
        assert nothing.gone
    else:
        assert isinstance(nothing, VmInspectionFailed)
        assert nothing.resource_ids == (theirs.id,)
    await asyncio.gather(theirs.remove(), own.remove())


async def test_get_vm_catalog_lists_what_the_tenant_can_ask_for(
    world: World, replica: Replica
) -> None:
    """Images, flavors with their sizes, its own networks and groups; nobody else's."""
    await replica.vm("bigtop").port()
    world.in_project("openlab").network.create_network(name="not-yours")
    answer = await get_vm_catalog("bigtop", GetVmCatalog(), replica.context)
    (catalog,) = answer.clouds
    assert answer.problems == ()
    assert catalog.cloud == CLOUD
    assert "debian-12" in catalog.images
    small = next(flavor for flavor in catalog.flavors if flavor.name == "small")
    assert (small.vcpus, small.ram_mib, small.disk_gib) == (1, 512, 1)
    assert "colobus-default" in catalog.networks
    assert "not-yours" not in catalog.networks
    assert catalog.security_groups == ("default",) or "default" in catalog.security_groups


async def test_the_census_lists_all_that_is_ours(replica: Replica) -> None:
    """By resource, and what serves the tenant as a whole under none."""
    vm = await build(replica.vm())
    await vm.floating_ip()
    assert await replica.held(vm) == ["floating_ip", "port", "server"]
    shared = {one.what for one in await replica.census() if one.resource_id is None}
    assert shared == {"network", "router"}
    await vm.remove()
    assert await replica.held(vm) == []
