"""Attachments: a volume on a target of its own, for an initiator that its owner names."""

from __future__ import annotations

from services.iscsi_worker.backend import Store, Target
from services.iscsi_worker.provisioner.kit import Kit
from services.iscsi_worker.provisioner.targets import ensure_target, remove_target
from shared.contract.messages import AttachVolume, DetachVolume
from shared.worker.command import Command


async def attach_volume(store: Store, kit: Kit, command: Command[AttachVolume]) -> Target:
    """Return the target, as the gateway shows it when all is there.

    Raises `NotFound` (volume_not_found), `PermanentError` (in_use).
    """
    order = command.message
    export = kit.export(command.tenant, command.resource_id, order.volume, order.initiator_iqn)
    missing = f"Store {store.name} has no volume {order.volume}."
    return await ensure_target(store, kit, export, missing)


async def detach_volume(store: Store, kit: Kit, command: Command[DetachVolume]) -> None:
    """Take the target away; that it is gone is fine.

    While somebody is logged in nobody new is let in, who is in works on, and `TemporaryError`
    (initiator_logged_in) says who; with ``force`` the connections are closed.
    """
    order = command.message
    export = kit.export(command.tenant, command.resource_id, order.volume, order.initiator_iqn)
    accounts = [export.account.username]
    await remove_target(store, kit, export.target_iqn, accounts, force=order.force)
    for image in export.images:
        await store.gateway.release(image)
