"""The disks of a machine, root and config, on a target of its own for an initiator of its own."""

from __future__ import annotations

from services.iscsi_worker.backend import Store, Target
from services.iscsi_worker.provisioner.kit import Kit
from services.iscsi_worker.provisioner.targets import ensure_target, remove_target
from shared.contract.messages import ExportDisks, WithdrawDisks
from shared.worker.command import Command


async def export_disks(store: Store, kit: Kit, command: Command[ExportDisks]) -> Target:
    """Return the target, as the gateway shows it when all is there.

    Raises `NotFound` (volume_not_found), `PermanentError` (in_use).
    """
    export = kit.disks_export(command.tenant, command.resource_id)
    missing = f"Store {store.name} does not have both disks of {command.resource_id}."
    return await ensure_target(store, kit, export, missing)


async def withdraw_disks(store: Store, kit: Kit, command: Command[WithdrawDisks]) -> None:
    """Take the target away; that it is gone is fine.

    The machine is off: a session that is still there is what its firmware or system never ended.
    """
    export = kit.disks_export(command.tenant, command.resource_id)
    accounts = [export.account.username]
    await remove_target(store, kit, export.target_iqn, accounts, force=True)
    for image in export.images:
        await store.gateway.release(image)
