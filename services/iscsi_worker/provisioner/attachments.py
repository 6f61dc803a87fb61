"""Attachments: a volume on a target of its own, for an initiator or a machine of its owner's."""

from __future__ import annotations

from services.iscsi_worker.backend import Export, Store, Target
from services.iscsi_worker.provisioner.kit import Kit
from services.iscsi_worker.provisioner.targets import ensure_target, remove_target
from shared.contract.messages import AttachVolume, DetachVolume
from shared.worker.command import Command


async def attach_volume(store: Store, kit: Kit, command: Command[AttachVolume]) -> Target:
    """Return the target, as the gateway shows it when all is there.

    Raises `NotFound` (volume_not_found), `PermanentError` (in_use).
    """
    export = _export(kit, command)
    missing = f"Store {store.name} has no volume {command.message.volume}."
    return await ensure_target(store, kit, export, missing)


async def detach_volume(store: Store, kit: Kit, command: Command[DetachVolume]) -> None:
    """Take the target away; that it is gone is fine.

    While somebody is logged in nobody new is let in, who is in works on, and `TemporaryError`
    (initiator_logged_in) says who; with ``force`` the connections are closed.
    """
    export = _export(kit, command)
    accounts = [export.account.username]
    await remove_target(store, kit, export.target_iqn, accounts, force=command.message.force)
    for image in export.images:
        await store.gateway.release(image)


def _export(kit: Kit, command: Command[AttachVolume] | Command[DetachVolume]) -> Export:
    order = command.message
    whose = (command.tenant, command.resource_id, order.volume)
    return kit.export(*whose, order.initiator_iqn, order.machine)
