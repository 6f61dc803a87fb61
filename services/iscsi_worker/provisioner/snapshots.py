"""Snapshots: an RBD snapshot each, on its volume's image, named by its id.

A snapshot of which copies live can be removed: nobody can make another copy of it from then on,
and its name is free. Ceph keeps what the copies need in the trash of the image and purges it with
the last copy. As long as it does, the volume can't be deleted (in_use, which names the copies); so
nothing leaks, and nothing is pulled from under a copy.
"""

from __future__ import annotations

from contextlib import suppress

from services.iscsi_worker.backend import RbdSnapshot, Store
from services.iscsi_worker.names import snapshot_handle
from services.iscsi_worker.provisioner.kit import Kit
from shared.contract.messages import TakeSnapshot
from shared.contract.problems import Reason
from shared.runtime.errors import BackendUnavailable, TemporaryError
from shared.worker.command import Command
from shared.worker.errors import Conflict, NotFound


async def take_snapshot(store: Store, kit: Kit, command: Command[TakeSnapshot]) -> tuple[str, int]:
    """Return ``image@snapshot`` and the snapshot's size in bytes.

    One that is there is the one: its id is used once. Raises `NotFound` (volume_not_found).
    """
    image = kit.names.image(command.tenant, command.message.volume)
    found = await _find(store, image, command)
    if found is None:
        with suppress(Conflict, NotFound):  # it is looked at what came of it
            await store.rbd.take_snapshot(image, command.resource_id)
        found = await _find(store, image, command)
    if found is None:
        raise BackendUnavailable(f"Snapshot {command.resource_id} is not there though it was made.")
    return snapshot_handle(image, found.name), found.size


async def _find(store: Store, image: str, command: Command[TakeSnapshot]) -> RbdSnapshot | None:
    found = await store.rbd.image(image)
    if found is None:
        detail = f"Store {store.name} has no volume {command.message.volume}."
        raise NotFound(detail, reason=Reason.VOLUME_NOT_FOUND)
    living = (one for one in found.snapshots if not one.trashed)
    return next((one for one in living if one.name == command.resource_id), None)


async def remove_snapshot(store: Store, kit: Kit, image: str, snapshot: str) -> None:
    """Remove the snapshot; that it, or its volume, is gone is fine."""
    async with kit.alone(store, image):
        try:
            await store.rbd.remove_snapshot(image, snapshot)
        except NotFound:
            return
        except Conflict as error:
            detail = f"{snapshot} is in use: {error.detail}"
            raise TemporaryError(detail, reason=Reason.IN_USE, retry_after=5) from error
