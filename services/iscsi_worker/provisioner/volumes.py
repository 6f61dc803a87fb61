"""Volumes: an RBD image each, blank or a clone.

That a name is taken is not "done": a crash may have come between the name and the image (librbd
takes the name first; what is left can't be opened, only removed), between the image and its parent,
or between the clone and its growing. What is found is verified, completed and opened before it is
called provisioned.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from services.iscsi_worker.backend import RbdImage, Source, Store
from services.iscsi_worker.provisioner.holders import in_use, who_holds
from services.iscsi_worker.provisioner.kit import GIB, Kit
from services.iscsi_worker.provisioner.sources import Wanted, wanted_volume
from services.iscsi_worker.provisioner.targets import reopen_target
from shared.contract.identifiers import kind_of
from shared.contract.messages import GrowVolume, ProvisionVolume
from shared.contract.problems import Reason
from shared.runtime.errors import PermanentError, TemporaryError
from shared.worker.command import Command
from shared.worker.errors import Conflict, NotFound


async def provision_volume(
    store: Store, kit: Kit, command: Command[ProvisionVolume]
) -> tuple[str, int]:
    """Return the name of the volume's image and its size in bytes, proven by reading from it."""
    name = kit.names.image(command.tenant, command.resource_id)
    wanted = await wanted_volume(store, kit, command)
    async with kit.alone(store, name):
        try:
            if (await ensure_image(store, kit, name, wanted)).size < wanted.size:
                await store.rbd.grow(name, wanted.size)
            return name, await _proven(store, name, wanted.size)
        except (Conflict, NotFound) as error:
            # Another worker is at it too, or has just taken it away: the next attempt sees.
            if wanted.source is not None:
                kit.golden.forget(store, wanted.source.image)
            raise TemporaryError(error.detail, reason=Reason.IN_USE, retry_after=1) from error


async def _proven(store: Store, name: str, size: int) -> int:
    """Return its size when it is as large as wanted.

    A golden image that was imported anew since it was looked at has made a smaller one.
    """
    found = await store.rbd.prove(name)
    if found >= size:
        return found
    await store.rbd.grow(name, size)
    return await store.rbd.prove(name)


async def grow_volume(store: Store, kit: Kit, command: Command[GrowVolume]) -> int:
    """Return the volume's size in bytes when it is as large as wanted, proven by reading from it.

    Raises `NotFound` (volume_not_found). Who logs in from now on sees the new size; under somebody
    who is logged in the LUN is left as it is, or grows, by gateway. The gateway comes first: one
    that shows what has grown shows it only where it did the growing itself.
    """
    order = command.message
    name = kit.names.image(command.tenant, command.resource_id)
    async with kit.alone(store, name):
        try:
            await store.gateway.grow(name, order.size_gib * GIB)
            await store.rbd.grow(name, order.size_gib * GIB)
            size = await store.rbd.prove(name)
        except NotFound as error:
            missing = f"Store {store.name} has no volume {command.resource_id}."
            raise NotFound(missing, reason=Reason.VOLUME_NOT_FOUND) from error
        except Conflict as error:  # another worker is at it, or takes it away
            raise TemporaryError(error.detail, reason=Reason.IN_USE, retry_after=1) from error
    with suppress(PermanentError):  # the attachment's own trouble; the volume has grown
        await reopen_target(store, kit, command.tenant, command.resource_id)
    return size


@dataclass(frozen=True)
class Ensured:
    """An image that is there. ``fresh``: it was made just now."""

    size: int
    fresh: bool = True


async def ensure_image(store: Store, kit: Kit, name: str, wanted: Wanted) -> Ensured:
    """Return the image as it was made, or found: its name is the lock.

    Raises `Conflict` while another worker is at it.
    """
    try:
        await _make(store, name, wanted)
    except Conflict:
        found = await store.rbd.image(name)
        if found is None or await _is_half_made(store, found, wanted.source):
            await _clear_away(store, kit, name)
            await _make(store, name, wanted)
        elif found.parent is not None and found.parent != wanted.source:
            of = f"{found.parent.image}@{found.parent.snapshot}"
            raise PermanentError(
                f"Image {name} is there, but is a clone of {of}.", reason=Reason.BACKEND_REFUSED
            ) from None
        else:
            return Ensured(found.size, fresh=False)
    return Ensured(wanted.made)


async def _make(store: Store, name: str, wanted: Wanted) -> None:
    if wanted.source is None:
        await store.rbd.create(name, wanted.made)
    else:
        await store.rbd.clone(wanted.source, name)


async def _is_half_made(store: Store, image: RbdImage, source: Source | None) -> bool:
    """A clone without parent is one that was never finished, unless somebody has flattened it."""
    orphaned = source is not None and image.parent is None
    return orphaned and not await store.rbd.holds_data(image.name)


async def _clear_away(store: Store, kit: Kit, name: str) -> None:
    """Remove what was never finished, but not from under a worker that is at it just now.

    librbd copes badly with that: it leaves the source with a clone that isn't there.
    """
    age = await store.rbd.age(name)
    if age is not None and age < kit.making_seconds:
        detail = f"Image {name} is being made, or was {age:.0f} s ago by a worker that died."
        raise TemporaryError(detail, reason=Reason.IN_USE, retry_after=5)
    await _remove(store, name)


async def deprovision_volume(store: Store, kit: Kit, tenant: str, volume: str) -> None:
    """Remove the volume's image; one that is gone is fine.

    Raises `TemporaryError` (in_use) that says who holds it; nothing is half done then.
    """
    remove = remove_disk if kind_of(volume) == "machine" else remove_image
    await remove(store, kit, kit.names.image(tenant, volume))


async def remove_image(store: Store, kit: Kit, name: str) -> None:
    """Remove an image that nobody holds."""
    async with kit.alone(store, name):
        await store.gateway.release(name)
        held = await who_holds(store, kit, name)
        if held:
            raise in_use(kit, name, held)
        try:
            await _remove(store, name)
        except Conflict as error:  # somebody came between
            held = await who_holds(store, kit, name)
            raise in_use(kit, name, held or [error.detail]) from error


async def remove_disk(store: Store, kit: Kit, name: str) -> None:
    """Remove a machine's disk, whose target is gone: hardly ever anybody still holds it.

    So that is looked at where Ceph refuses; to look first costs a quarter of the removal.
    """
    async with kit.alone(store, name):
        await store.gateway.release(name)
        try:
            await _remove(store, name)
        except Conflict:
            pass
        else:
            return
    await remove_image(store, kit, name)


async def _remove(store: Store, name: str) -> None:
    with suppress(NotFound):
        await store.rbd.remove(name)
