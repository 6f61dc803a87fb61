"""What a store holds of this installation: images, their snapshots, targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from services.iscsi_worker.backend import RbdImage, Store, Stores, Target
from services.iscsi_worker.names import Names, Owned, snapshot_handle
from services.iscsi_worker.provisioner.orphans import (
    CONFIG_IMAGE,
    ISCSI_TARGET,
    RBD_IMAGE,
    RBD_SNAPSHOT,
)
from shared.contract.identifiers import kind_of
from shared.contract.messages import Holding, TakeCensus
from shared.runtime.deadline import Deadline
from shared.worker.census import census_taken
from shared.worker.command import Command, Observation

#: How long a census may go on once it has started, in seconds; ``not_after`` is shorter: it only
#: says until when it is of use to start.
LIFE = 120.0


async def answer_census(
    stores: Stores, names: Names, command: Command[TakeCensus]
) -> list[Observation]:
    """Return the census in parts, all of them; raises when something could not be asked."""
    # Before the first question: what is listed was there then or later.
    taken_at = datetime.now(UTC)
    store = stores.store(command.message.place, Deadline.after(LIFE))
    return census_taken(command, taken_at, await take_census(store, names))


async def take_census(store: Store, names: Names) -> list[Holding]:
    """Return every image, snapshot and target of ours on one store.

    Raises `TemporaryError` when one of them can't be asked: half a census would look like a loss.
    """
    found = await store.rbd.names()
    images = await store.rbd.images([name for name in found if _may_have_snapshots(names, name)])
    targets = await store.gateway.targets()
    return [
        *_images(store.name, names, found),
        *_snapshots(store.name, names, images.values()),
        *_targets(store.name, names, targets.values()),
    ]


def _may_have_snapshots(names: Names, image: str) -> bool:
    """Volumes only: of a machine's disk none are taken, and to open each costs a store much."""
    owner = names.owner_of_image(image)
    return owner is not None and kind_of(owner.resource_id) != "machine"


def _images(place: str, names: Names, images: Iterable[str]) -> Iterator[Holding]:
    """All names, also of what was never made whole and can't be opened."""
    for image in images:
        if (owner := names.owner_of_image(image)) is not None:
            yield _holding(RBD_IMAGE, image, place, owner)
        elif (owner := names.owner_of_config_image(image)) is not None:
            yield _holding(CONFIG_IMAGE, image, place, owner)


def _snapshots(place: str, names: Names, images: Iterable[RbdImage]) -> Iterator[Holding]:
    """Trashed ones are Ceph's: they go with the last clone, and hold the image until then."""
    for image in images:
        for snapshot in image.snapshots:
            handle = snapshot_handle(image.name, snapshot.name)
            owner = names.owner_of_snapshot(handle)
            if owner is not None and not snapshot.trashed:
                yield _holding(RBD_SNAPSHOT, handle, place, owner)


def _targets(place: str, names: Names, targets: Iterable[Target]) -> Iterator[Holding]:
    for target in targets:
        owner = names.owner_of_target(target.iqn)
        if owner is not None:
            status = "logged in" if target.sessions else None
            yield _holding(ISCSI_TARGET, target.iqn, place, owner, status)


def _holding(what: str, id: str, place: str, owner: Owned, status: str | None = None) -> Holding:
    return Holding(
        what=what,
        id=id,
        place=place,
        tenant=owner.tenant,
        resource_id=owner.resource_id,
        status=status,
    )
