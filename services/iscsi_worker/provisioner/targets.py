"""Targets: one each for an attachment or a machine, with its LUNs, one CHAP account, one initiator.

An image has one writer: two targets of one are refused. Two that come at once both find the other's
LUN, before either lets anybody in, and both step back; they are tried again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from services.iscsi_worker.backend import Export, Store, Target
from services.iscsi_worker.provisioner.kit import Kit
from shared.contract.problems import Reason
from shared.runtime.errors import BackendUnavailable, PermanentError, TemporaryError
from shared.worker.errors import Conflict, NotFound

#: When to look again whether the initiator has logged out, in seconds.
_RETRY_AFTER = 2.0


async def ensure_target(store: Store, kit: Kit, export: Export, missing: str) -> Target:
    """Return the target, as the gateway shows it when all is there.

    Raises `NotFound` (volume_not_found) with the words ``missing`` when an image isn't there,
    `PermanentError` (in_use) when one is offered by another target.
    """
    async with kit.alone(store, export.target_iqn):
        if len(await store.rbd.present(export.images)) < len(export.disks):
            raise NotFound(missing, reason=Reason.VOLUME_NOT_FOUND)
        targets = await store.gateway.targets()
        _refuse_second(kit, export, targets)
        found = targets.get(export.target_iqn)
        if found is None or not export.is_offered_by(found):
            return await _offer(store, kit, export, found)
        if not found.sessions:
            images = await store.rbd.images(export.images)
            if found.is_outdated(images.values()):
                return await _reopen(store, kit, export, found)
        return found


async def reopen_target(store: Store, kit: Kit, tenant: str, volume: str) -> None:
    """Have the volume's LUN, if there is one, opened anew when the volume has grown since.

    Not while somebody is logged in, who would lose it.
    """
    image = kit.names.image(tenant, volume)
    targets = (await store.gateway.targets()).values()
    found = next((one for one in targets if one.exports(image)), None)
    owner = kit.names.owner_of_target(found.iqn) if found else None
    if found is None or owner is None or len(found.initiators) != 1:
        return  # what is not whole is made whole by its attachment
    export = kit.export(tenant, owner.resource_id, volume, found.initiators[0])
    if export.is_offered_by(found):
        await ensure_target(store, kit, export, f"Store {store.name} has no volume {volume}.")


async def _reopen(store: Store, kit: Kit, export: Export, found: Target) -> Target:
    """Make the target anew, or leave it as it is to one who logs in at this moment."""
    try:
        await store.gateway.remove(export.target_iqn, [export.account.username])
    except Conflict:
        await _made(store.gateway.prepare(export))  # its account may have gone
        await _made(store.gateway.admit(export))
        return found
    return await _offer(store, kit, export, None)


async def _offer(store: Store, kit: Kit, export: Export, found: Target | None) -> Target:
    if found is not None and set(found.luns.values()) - set(export.images):
        await _remove(store, found, export)  # nothing of ours made that
    await _made(store.gateway.prepare(export))
    other = _other(export, await store.gateway.targets())
    if other is not None:
        await store.gateway.remove(export.target_iqn, [export.account.username])
        detail = f"The volume is being attached by {_whose(kit, other)} too."
        raise TemporaryError(detail, reason=Reason.IN_USE, retry_after=_RETRY_AFTER)
    await _made(store.gateway.admit(export))
    made = (await store.gateway.targets()).get(export.target_iqn)
    if made is None or not export.is_offered_by(made):
        detail = f"The gateway does not show all of the target {export.target_iqn}."
        raise BackendUnavailable(detail)
    return made


async def _made(making: Awaitable[None]) -> None:
    """What goes while it is being made is seen by the next attempt."""
    try:
        await making
    except NotFound as error:
        raise TemporaryError(error.detail, reason=Reason.BACKEND_REFUSED) from error
    except Conflict as error:
        raise _logged_in(None, error.detail) from error


def _refuse_second(kit: Kit, export: Export, targets: Mapping[str, Target]) -> None:
    other = _other(export, targets)
    if other is not None:
        detail = f"The volume is offered by {_whose(kit, other)} already."
        raise PermanentError(detail, reason=Reason.IN_USE)


def _other(export: Export, targets: Mapping[str, Target]) -> Target | None:
    """Another target of one of the images."""
    others = (one for one in targets.values() if one.iqn != export.target_iqn)
    return next((one for one in others if any(map(one.exports, export.images))), None)


def _whose(kit: Kit, target: Target) -> str:
    owner = kit.names.owner_of_target(target.iqn)
    return owner.resource_id if owner else target.iqn


async def remove_target(
    store: Store, kit: Kit, target_iqn: str, usernames: list[str], *, force: bool = False
) -> None:
    """Remove a target with these accounts and its own, when nobody is logged in."""
    async with kit.alone(store, target_iqn):
        await store.rbd.names()  # a gateway that lets go of an image hangs while Ceph is down
        await store.gateway.shut(target_iqn)
        found = (await store.gateway.targets([target_iqn])).get(target_iqn)
        if found is not None and found.sessions:
            if not force:
                raise _logged_in(found)
            await store.gateway.disconnect(found)
        try:
            await store.gateway.remove(target_iqn, usernames)
        except Conflict as error:  # one that logged in a moment before, or is not gone yet
            now = (await store.gateway.targets([target_iqn])).get(target_iqn)
            raise _logged_in(now, error.detail) from error


async def _remove(store: Store, target: Target, export: Export) -> None:
    try:
        await store.gateway.remove(target.iqn, [export.account.username])
    except Conflict as error:
        raise _logged_in(target, error.detail) from error


def _logged_in(target: Target | None, otherwise: str = "") -> TemporaryError:
    who = ", ".join(str(session) for session in target.sessions) if target else ""
    detail = f"Logged in: {who}." if who else f"The target is in use: {otherwise}."
    return TemporaryError(detail, reason=Reason.INITIATOR_LOGGED_IN, retry_after=_RETRY_AFTER)
