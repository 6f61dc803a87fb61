"""Volumes: an RBD image each, blank or a clone.

That a name is taken is not "done": a crash may have come between the image and its parent (librbd
makes the image first), or between the clone and its growing. What is found is verified, completed
and opened before it is called provisioned.
"""

from __future__ import annotations

from contextlib import suppress

from services.iscsi_worker.backend import RbdImage, Source, Store
from services.iscsi_worker.provisioner.holders import in_use, who_holds
from services.iscsi_worker.provisioner.kit import Kit
from services.iscsi_worker.provisioner.sources import source_of
from shared.contract.messages import ProvisionVolume
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.command import Command
from shared.worker.errors import Conflict, NotFound, Refused


async def provision_volume(
    store: Store, kit: Kit, command: Command[ProvisionVolume]
) -> tuple[str, int]:
    """Return the name of the volume's image and its size in bytes, proven by reading from it."""
    name = kit.names.image(command.tenant, command.resource_id)
    source, size = await source_of(store, kit, command)
    async with kit.alone(store, name):
        try:
            image = await _ensure(store, name, source, size)
            if image.size < size:
                await store.rbd.resize(name, size)
            return name, await store.rbd.prove(name)
        except (Conflict, NotFound) as error:
            # Another worker is at it too, or has just taken it away: the next attempt sees.
            raise TemporaryError(error.detail, reason=Reason.IN_USE, retry_after=1) from error


async def _ensure(store: Store, name: str, source: Source | None, size: int) -> RbdImage:
    found = await store.rbd.image(name)
    if found is not None and await _is_half_made(store, found, source):
        await _remove(store, name)
        found = None
    if found is None:
        with suppress(Conflict):  # another worker made it first; what came of it is looked at
            await _make(store, name, source, size)
        found = await store.rbd.image(name)
    if found is None:
        raise NotFound(f"Image {name} is not there although it was made.")
    if found.parent is not None and found.parent != source:
        detail = f"Image {name} is there, but is a clone of {found.parent.image}"
        raise Refused(f"{detail}@{found.parent.snapshot}.")
    return found


async def _make(store: Store, name: str, source: Source | None, size: int) -> None:
    if source is None:
        await store.rbd.create(name, size)
    else:
        await store.rbd.clone(source, name)


async def _is_half_made(store: Store, image: RbdImage, source: Source | None) -> bool:
    """A clone without parent is one that was never finished, unless somebody has flattened it."""
    orphaned = source is not None and image.parent is None
    return orphaned and not await store.rbd.holds_data(image.name)


async def deprovision_volume(store: Store, kit: Kit, tenant: str, volume: str) -> None:
    """Remove the volume's image; one that is gone is fine.

    Raises `TemporaryError` (in_use) that says who holds it; nothing is half done then.
    """
    await remove_image(store, kit, kit.names.image(tenant, volume))


async def remove_image(store: Store, kit: Kit, name: str) -> None:
    """Remove an image that nobody holds."""
    async with kit.alone(store, name):
        if await store.rbd.image(name) is None:
            return
        await store.gateway.release(name)
        held = await who_holds(store, kit, name)
        if held:
            raise in_use(kit, name, held)
        try:
            await _remove(store, name)
        except Conflict as error:  # somebody came between
            held = await who_holds(store, kit, name)
            raise in_use(kit, name, held or [error.detail]) from error


async def _remove(store: Store, name: str) -> None:
    with suppress(NotFound):
        await store.rbd.remove(name)
