"""How many requests a VM costs: the fewest of any tool is the aim (docs/benchmarks.md)."""

from __future__ import annotations

from shared.contract.messages import DeprovisionVm, ReleaseVmPort
from tests.end_to_end.vm_worker.world import CLOUD, Replica, World, api_calls

VMS = 4


async def test_a_vm_costs_four_calls_from_nothing_to_nothing(
    world: World, replica: Replica
) -> None:
    """Port, server, and both again to remove them; names are looked up once for all.

    Neutron takes a port's tags along with the port where the extension
    tag-ports-during-bulk-creation is on; elsewhere they are a fifth call.
    """
    extension = "tag-ports-during-bulk-creation"
    with_tags = world.admin.network.find_extension(extension) is not None
    first = replica.vm()
    await first.port()
    await first.server()
    before = api_calls()
    vms = [replica.vm() for _ in range(VMS)]
    for vm in vms:
        await vm.port()
        await vm.server()
    for vm in vms:
        await vm.do(DeprovisionVm(cloud=CLOUD, server_id=vm.server_id))
    making_and_removing = api_calls() - before
    for vm in (first, *vms):
        await vm.remove() if vm is first else await vm.until(lambda seen: seen.gone)
    before = api_calls()
    for vm in vms:
        await vm.do(ReleaseVmPort(cloud=CLOUD, port_id=vm.port_id))
    making_and_removing += api_calls() - before
    assert making_and_removing / VMS == (4 if with_tags else 5)
