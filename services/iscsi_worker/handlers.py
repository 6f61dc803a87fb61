"""One function per command: unpack, call, emit. `HANDLERS` is the map of this worker."""

from __future__ import annotations

from collections.abc import Sequence

from services.iscsi_worker import census, observer
from services.iscsi_worker.context import Context
from services.iscsi_worker.provisioner import (
    attachments,
    config_volumes,
    disks,
    orphans,
    snapshots,
    volumes,
)
from shared.contract.messages import (
    AttachVolume,
    ConfigVolumeDeprovisioned,
    ConfigVolumeProvisioned,
    DeprovisionConfigVolume,
    DeprovisionVolume,
    DetachVolume,
    DisksExported,
    DisksWithdrawn,
    ExportDisks,
    GrowVolume,
    InspectStorage,
    Message,
    OrphanRemoved,
    ProvisionConfigVolume,
    ProvisionVolume,
    RemoveOrphan,
    RemoveSnapshot,
    SnapshotRemoved,
    SnapshotTaken,
    TakeCensus,
    TakeSnapshot,
    VolumeAttached,
    VolumeDeprovisioned,
    VolumeDetached,
    VolumeGrown,
    VolumeProvisioned,
    WithdrawDisks,
)
from shared.worker.command import Answer, Command, Handlers


async def provision_volume(
    command: Command[ProvisionVolume], context: Context
) -> Sequence[Message]:
    """→ `VolumeProvisioned`."""
    made = await volumes.provision_volume(context.store(command), context.kit, command)
    rbd_image, size = made
    return [VolumeProvisioned(rbd_image=rbd_image, size_bytes=size)]


async def grow_volume(command: Command[GrowVolume], context: Context) -> Sequence[Message]:
    """→ `VolumeGrown`."""
    size = await volumes.grow_volume(context.store(command), context.kit, command)
    return [VolumeGrown(operation_id=command.message.operation_id, size_bytes=size)]


async def deprovision_volume(
    command: Command[DeprovisionVolume], context: Context
) -> Sequence[Message]:
    """→ `VolumeDeprovisioned`."""
    whose = (command.tenant, command.resource_id)
    await volumes.deprovision_volume(context.store(command), context.kit, *whose)
    return [VolumeDeprovisioned()]


async def take_snapshot(command: Command[TakeSnapshot], context: Context) -> Sequence[Message]:
    """→ `SnapshotTaken`."""
    taken = await snapshots.take_snapshot(context.store(command), context.kit, command)
    rbd_snapshot, size = taken
    return [SnapshotTaken(rbd_snapshot=rbd_snapshot, size_bytes=size)]


async def remove_snapshot(command: Command[RemoveSnapshot], context: Context) -> Sequence[Message]:
    """→ `SnapshotRemoved`."""
    image = context.kit.names.image(command.tenant, command.message.volume)
    store = context.store(command)
    await snapshots.remove_snapshot(store, context.kit, image, command.resource_id)
    return [SnapshotRemoved()]


async def attach_volume(command: Command[AttachVolume], context: Context) -> Sequence[Message]:
    """→ `VolumeAttached`, when the gateway shows target, LUN and access."""
    store = context.store(command)
    target = await attachments.attach_volume(store, context.kit, command)
    (lun,) = target.luns
    return [
        VolumeAttached(
            target_iqn=target.iqn,
            initiator_iqn=target.initiators[0],
            lun=lun,
            portals=store.gateway.portals,
            chap_username=target.usernames[0],
        )
    ]


async def detach_volume(command: Command[DetachVolume], context: Context) -> Sequence[Message]:
    """→ `VolumeDetached`."""
    await attachments.detach_volume(context.store(command), context.kit, command)
    return [VolumeDetached()]


async def provision_config_volume(
    command: Command[ProvisionConfigVolume], context: Context
) -> Sequence[Message]:
    """→ `ConfigVolumeProvisioned`."""
    store = context.store(command)
    name, phones = await config_volumes.provision_config_volume(store, context.kit, command)
    return [ConfigVolumeProvisioned(rbd_image=name, phones_home=phones)]


async def deprovision_config_volume(
    command: Command[DeprovisionConfigVolume], context: Context
) -> Sequence[Message]:
    """→ `ConfigVolumeDeprovisioned`."""
    whose = (command.tenant, command.resource_id)
    await config_volumes.deprovision_config_volume(context.store(command), context.kit, *whose)
    return [ConfigVolumeDeprovisioned()]


async def export_disks(command: Command[ExportDisks], context: Context) -> Sequence[Message]:
    """→ `DisksExported`, when the gateway shows target, LUNs and access."""
    store = context.store(command)
    target = await disks.export_disks(store, context.kit, command)
    export = context.kit.disks_export(command.tenant, command.resource_id)
    lun, config_lun = target.luns_of(export.images)
    return [
        DisksExported(
            target_iqn=target.iqn,
            initiator_iqn=export.initiator_iqn,
            lun=lun,
            config_lun=config_lun,
            portals=store.gateway.portals,
        )
    ]


async def withdraw_disks(command: Command[WithdrawDisks], context: Context) -> Sequence[Message]:
    """→ `DisksWithdrawn`."""
    await disks.withdraw_disks(context.store(command), context.kit, command)
    return [DisksWithdrawn()]


async def inspect_storage(command: Command[InspectStorage], context: Context) -> Sequence[Answer]:
    """→ `StorageObserved` for each thing, or `StorageInspectionFailed` for some."""
    return await observer.inspect_storage(context.stores, context.kit, command)


async def take_census(command: Command[TakeCensus], context: Context) -> Sequence[Answer]:
    """→ `CensusTaken`, in as many parts as it takes."""
    return await census.answer_census(context.stores, context.kit.names, command)


async def remove_orphan(command: Command[RemoveOrphan], context: Context) -> Sequence[Message]:
    """→ `OrphanRemoved`."""
    order = command.message
    await orphans.remove_orphan(context.store(command), context.kit, order)
    return [OrphanRemoved(place=order.place, what=order.what, object_id=order.object_id)]


HANDLERS: Handlers[Context] = {
    ProvisionVolume: provision_volume,
    GrowVolume: grow_volume,
    DeprovisionVolume: deprovision_volume,
    TakeSnapshot: take_snapshot,
    RemoveSnapshot: remove_snapshot,
    AttachVolume: attach_volume,
    DetachVolume: detach_volume,
    ProvisionConfigVolume: provision_config_volume,
    DeprovisionConfigVolume: deprovision_config_volume,
    ExportDisks: export_disks,
    WithdrawDisks: withdraw_disks,
    InspectStorage: inspect_storage,
    TakeCensus: take_census,
    RemoveOrphan: remove_orphan,
}
