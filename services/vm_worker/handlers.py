"""One function per command: unpack, call, emit. `HANDLERS` is the map of this worker."""

from __future__ import annotations

from collections.abc import Sequence

from services.vm_worker import census, observer
from services.vm_worker.context import Context
from services.vm_worker.provisioner import floating_ips, orphans, ports, power, servers
from shared.contract.messages import (
    AssociateFloatingIp,
    ChangeVmPower,
    DeprovisionVm,
    FloatingIpAssociated,
    FloatingIpReleased,
    InspectVms,
    Message,
    OrphanRemoved,
    PrepareVmPort,
    ProvisionVm,
    ReleaseFloatingIp,
    ReleaseVmPort,
    RemoveOrphan,
    TakeCensus,
    VmBuildStarted,
    VmDeletionStarted,
    VmDeprovisioned,
    VmPortPrepared,
    VmPortReleased,
    VmPowerChangeStarted,
)
from shared.worker.command import Answer, Command, Handlers


async def prepare_vm_port(command: Command[PrepareVmPort], context: Context) -> Sequence[Message]:
    """→ `VmPortPrepared`."""
    port = await ports.prepare_port(context.project(command), context.kit, command)
    return [
        VmPortPrepared(
            port_id=port.id,
            network_id=port.network_id,
            mac_address=port.mac_address,
            fixed_ips=port.fixed_ips,
        )
    ]


async def provision_vm(command: Command[ProvisionVm], context: Context) -> Sequence[Message]:
    """→ `VmBuildStarted`; that it is built is seen by an inspection."""
    server = await servers.provision_server(context.project(command), context.kit, command)
    return [VmBuildStarted(server_id=server.id, doubtful=command.repeated)]


async def associate_floating_ip(
    command: Command[AssociateFloatingIp], context: Context
) -> Sequence[Message]:
    """→ `FloatingIpAssociated`."""
    made = await floating_ips.associate_floating_ip(context.project(command), context.kit, command)
    return [FloatingIpAssociated(floating_ip_id=made.id, floating_ip_address=made.address)]


async def release_floating_ip(
    command: Command[ReleaseFloatingIp], context: Context
) -> Sequence[Message]:
    """→ `FloatingIpReleased`."""
    await floating_ips.release_floating_ip(context.project(command), context.kit, command)
    return [FloatingIpReleased()]


async def deprovision_vm(command: Command[DeprovisionVm], context: Context) -> Sequence[Message]:
    """→ `VmDeletionStarted`, or `VmDeprovisioned` when there is no server (any more)."""
    going = await servers.deprovision_server(context.project(command), context.kit, command)
    if not going:
        return [VmDeprovisioned()]
    doubtful = len(going) > 1 or command.message.server_id is None
    return [VmDeletionStarted(server_id=going[0], doubtful=doubtful)]


async def release_vm_port(command: Command[ReleaseVmPort], context: Context) -> Sequence[Message]:
    """→ `VmPortReleased`."""
    await ports.release_port(context.project(command), context.kit, command)
    return [VmPortReleased()]


async def change_vm_power(command: Command[ChangeVmPower], context: Context) -> Sequence[Message]:
    """→ `VmPowerChangeStarted`; that it is done is seen by an inspection."""
    await power.change_power(context.project(command), command)
    return [VmPowerChangeStarted(operation_id=command.message.operation_id)]


async def inspect_vms(command: Command[InspectVms], context: Context) -> Sequence[Answer]:
    """→ `VmObserved` for each VM, or `VmInspectionFailed` for those of a tenant."""
    return await observer.inspect_vms(context.backend, context.kit, command)


async def take_census(command: Command[TakeCensus], context: Context) -> Sequence[Answer]:
    """→ `CensusTaken`, in as many parts as it takes."""
    return await census.answer_census(context.backend, context.kit, context.tenants, command)


async def remove_orphan(command: Command[RemoveOrphan], context: Context) -> Sequence[Message]:
    """→ `OrphanRemoved`, or nothing while it is going: the next census tells whether it went."""
    order = command.message
    gone = await orphans.remove_orphan(context.project(command), context.kit, command)
    removed = OrphanRemoved(place=order.place, what=order.what, object_id=order.object_id)
    return [removed] if gone else []


HANDLERS: Handlers[Context] = {
    PrepareVmPort: prepare_vm_port,
    ProvisionVm: provision_vm,
    AssociateFloatingIp: associate_floating_ip,
    ReleaseFloatingIp: release_floating_ip,
    DeprovisionVm: deprovision_vm,
    ReleaseVmPort: release_vm_port,
    ChangeVmPower: change_vm_power,
    InspectVms: inspect_vms,
    TakeCensus: take_census,
    RemoveOrphan: remove_orphan,
}
