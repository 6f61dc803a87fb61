"""What a volume is made of: nothing, a golden image, or a snapshot of the tenant's own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from services.iscsi_worker.backend import RbdImage, Source, Store
from services.iscsi_worker.names import GOLDEN_SNAPSHOT, golden_image
from services.iscsi_worker.provisioner.kit import GIB, Kit
from shared.contract.messages import ProvisionVolume
from shared.contract.problems import Reason
from shared.runtime.errors import PermanentError
from shared.worker.command import Command
from shared.worker.errors import NotFound


@dataclass(frozen=True)
class Wanted:
    """What a volume is to be, in bytes: ``made`` is its size when it is made, ``size`` in the end.

    A clone has the size of its source and is grown then. No source: it is blank.
    """

    size: int
    made: int
    source: Source | None = None


async def wanted_volume(store: Store, kit: Kit, command: Command[ProvisionVolume]) -> Wanted:
    """Return what is asked for, when all that it is made of is there.

    Raises `NotFound` (image_not_found, snapshot_not_found), `PermanentError` (size_too_small).
    """
    order = command.message
    asked = (order.size_gib or 0) * GIB
    if order.image is not None:
        source = Source(golden_image(order.image), GOLDEN_SNAPSHOT)
        what, reason = f"image {order.image!r}", Reason.IMAGE_NOT_FOUND
    elif order.snapshot is not None:
        parent = await _image_with(store, kit, command.tenant, order.snapshot)
        source = Source(parent, order.snapshot)
        what, reason = f"snapshot {order.snapshot}", Reason.SNAPSHOT_NOT_FOUND
    elif asked:
        return Wanted(asked, asked)
    else:
        raise PermanentError("A blank volume needs a size.", reason=Reason.COMMAND_REJECTED)
    look = store.rbd.image if order.image is None else partial(kit.golden.image, store)
    least = _size_at(await look(source.image), source.snapshot)
    if least is None:
        raise NotFound(f"Store {store.name} has no {what}.", reason=reason)
    if asked and asked < least:
        detail = f"{order.size_gib} GiB are asked for, but {what} has {_gib(least)}."
        raise PermanentError(detail, reason=Reason.SIZE_TOO_SMALL)
    return Wanted(asked or least, least, source)


async def _image_with(store: Store, kit: Kit, tenant: str, snapshot: str) -> str:
    """The tenant's volume that the snapshot is of: the order does not say."""
    own = [name for name in await store.rbd.names() if _is_of(kit, name, tenant)]
    found = await store.rbd.find_snapshot(own, snapshot)
    if found is None:
        detail = f"Store {store.name} has no snapshot {snapshot}."
        raise NotFound(detail, reason=Reason.SNAPSHOT_NOT_FOUND)
    return found


def _is_of(kit: Kit, image: str, tenant: str) -> bool:
    owner = kit.names.owner_of_image(image)
    return owner is not None and owner.tenant == tenant


def _size_at(image: RbdImage | None, snapshot: str) -> int | None:
    living = (one for one in (image.snapshots if image else ()) if not one.trashed)
    return next((one.size for one in living if one.name == snapshot), None)


def _gib(size: int) -> str:
    """In GiB, exactly."""
    return f"{size // GIB} GiB" if size % GIB == 0 else f"{size / GIB:.2f} GiB ({size} bytes)"
