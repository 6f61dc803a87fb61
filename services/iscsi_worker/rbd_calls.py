"""Calls to Ceph, one after the other where they belong together: each runs in one thread.

Everything that only looks opens images read-only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from services.iscsi_worker.backend import Holders, RbdImage, RbdSnapshot, Source
from services.iscsi_worker.names import NOTES
from services.iscsi_worker.rbd_backend import Cluster, Pool, vendor
from shared.runtime.deadline import Deadline

T = TypeVar("T")
#: Enough to know that data can be read; images are never smaller.
_BLOCK = 4096


class CephRbd:
    """`backend.RbdBackend` on a real pool, for one command."""

    def __init__(self, cluster: Cluster, deadline: Deadline) -> None:
        self._cluster = cluster
        self._deadline = deadline

    async def names(self) -> list[str]:
        """All images."""
        return await self._look(lambda pool: list(pool.rbd.list(pool.ioctx)))

    async def image(self, name: str) -> RbdImage | None:
        """One image."""
        return (await self.images([name])).get(name)

    async def images(self, names: Collection[str]) -> dict[str, RbdImage]:
        """Several images, one after the other: looking must not take all threads."""

        def look(pool: Pool) -> dict[str, RbdImage]:
            found = ((name, _unless_gone(lambda: _image(pool, name))) for name in names)  # noqa: B023
            return {name: image for name, image in found if image is not None}

        return await self._look(look)

    async def present(self, names: Collection[str]) -> frozenset[str]:
        """By the object that librbd keeps an image's id in, however many images there are."""

        def look(pool: Pool) -> frozenset[str]:
            return frozenset(name for name in names if _taken_at(pool, name) is not None)

        return await self._look(look)

    async def find_snapshot(self, images: Collection[str], snapshot: str) -> str | None:
        """Open them at the snapshot until one has it."""

        def has_it(pool: Pool, name: str) -> bool:
            with pool.open(name, snapshot):
                return True

        def look(pool: Pool) -> str | None:
            found = (name for name in images if _unless_gone(lambda: has_it(pool, name)))  # noqa: B023
            return next(found, None)

        return await self._look(look)

    async def create(self, name: str, size: int) -> None:
        """A blank image, with the features that the cluster's configuration says."""

        def create(pool: Pool) -> None:
            with pool.alone(name):
                pool.rbd.create(pool.ioctx, name, size, old_format=False)

        await self._change(create)

    async def clone(self, source: Source, name: str) -> None:
        """A clone of format 2, whose parent's snapshot needs no protection."""
        of = (source.image, source.snapshot)

        def clone(pool: Pool) -> None:
            with pool.alone(name):
                pool.rbd.clone(pool.ioctx, *of, pool.ioctx, name)

        await self._change(clone)

    async def resize(self, name: str, size: int) -> None:
        """Whoever has the image open is told by Ceph."""

        def resize(pool: Pool) -> None:
            with pool.open(name, read_only=False) as image:
                image.resize(size)

        await self._change(resize)

    async def grow(self, name: str, size: int) -> None:
        """Looked at and done alone, and never smaller: a late worker must not cut off data."""

        def grow(pool: Pool) -> None:
            with pool.alone(name), pool.open(name, read_only=False) as image:
                if image.size() < size:
                    image.resize(size, allow_shrink=False)

        await self._change(grow)

    async def age(self, name: str) -> float | None:
        """Librbd keeps an image's id in an object that it writes first, and never again."""

        def look(pool: Pool) -> float | None:
            taken_at = _taken_at(pool, name)
            return None if taken_at is None else max(0.0, time.time() - taken_at)

        return await self._look(look)

    async def holds_data(self, name: str) -> bool:
        """Without its parent's data."""
        extents: list[tuple[int, int, bool]] = []

        def look(pool: Pool) -> bool:
            with pool.open(name) as image:
                image.diff_iterate(
                    0,
                    image.size(),
                    None,
                    lambda *extent: extents.append(extent),
                    include_parent=False,
                    whole_object=True,
                )
            return bool(extents)

        return await self._look(look)

    async def prove(self, name: str) -> int:
        """Its first block may be its parent's: then that is proven too."""

        def read(pool: Pool) -> int:
            with pool.open(name) as image:
                size = int(image.size())
                image.read(0, min(_BLOCK, size))
                return size

        return await self._look(read)

    async def read(self, name: str, length: int) -> bytes:
        """At most what there is."""

        def read(pool: Pool) -> bytes:
            with pool.open(name) as image:
                return bytes(image.read(0, min(length, int(image.size()))))

        return await self._look(read)

    async def write(self, name: str, content: bytes) -> bytes:
        """Alone, as an image is made: what writes it is a part of its making."""

        def write(pool: Pool) -> bytes:
            with pool.alone(name), pool.open(name, read_only=False) as image:
                image.write(content, 0)
                image.flush()
                image.invalidate_cache()  # what is read is not what we remember
                return bytes(image.read(0, len(content)))

        return await self._change(write)

    async def note(self, name: str, key: str, value: str) -> None:
        """As metadata of the image."""

        def note(pool: Pool) -> None:
            with pool.open(name, read_only=False) as image:
                image.metadata_set(key, value)

        await self._change(note)

    async def remove(self, name: str) -> None:
        """Librbd looks for snapshots and watchers before it takes anything away."""

        def remove(pool: Pool) -> None:
            with pool.alone(name):
                pool.rbd.remove(pool.ioctx, name)

        await self._change(remove)

    async def holders(self, name: str) -> Holders:
        """Trashed snapshots whose last clone went while nobody purged them go now."""
        return await self._change(lambda pool: _holders(pool, name))

    async def take_snapshot(self, image: str, snapshot: str) -> None:
        """Of what has been written and flushed."""

        def take(pool: Pool) -> None:
            with pool.open(image, read_only=False) as opened:
                opened.create_snap(snapshot)

        await self._change(take)

    async def remove_snapshot(self, image: str, snapshot: str) -> None:
        """One with clones goes to the trash by itself, and from there with its last clone."""

        def remove(pool: Pool) -> None:
            with pool.open(image, read_only=False) as opened:
                opened.remove_snap(snapshot)

        await self._change(remove)

    async def _look(self, work: Callable[[Pool], T]) -> T:
        return await self._cluster.run(work, self._deadline)

    async def _change(self, work: Callable[[Pool], T]) -> T:
        return await self._cluster.run(work, self._deadline, changes=True)


def _unless_gone(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except vendor().rbd.ImageNotFound:
        return None


def _taken_at(pool: Pool, name: str) -> float | None:
    try:
        _, taken_at = pool.ioctx.stat(f"rbd_id.{name}")
    except vendor().rados.ObjectNotFound:
        return None
    return time.mktime(taken_at)


def _image(pool: Pool, name: str) -> RbdImage:
    with pool.open(name) as image:
        parent = _unless_gone(image.get_parent_image_spec)
        return RbdImage(
            name=name,
            size=int(image.size()),
            parent=None if parent is None else Source(parent["image_name"], parent["snap_name"]),
            snapshots=tuple(_snapshot(one) for one in image.list_snaps()),
            notes={key: value for key, value in image.metadata_list() if key.startswith(NOTES)},
        )


def _snapshot(listed: Any) -> RbdSnapshot:
    trash = listed.get("trash")
    name = trash["original_name"] if trash else listed["name"]
    return RbdSnapshot(name=name, size=int(listed["size"]), trashed=trash is not None)


def _holders(pool: Pool, name: str) -> Holders:
    clones: list[str] = []
    with pool.open(name) as image:
        listed = list(image.list_snaps())
        watchers = tuple(str(one["addr"]) for one in image.watchers_list())
    for snapshot in listed:
        children = _children(pool, name, snapshot["id"])
        clones += children
        if snapshot.get("trash") and not children:
            with pool.open(name, read_only=False) as image:
                image.remove_snap_by_id(snapshot["id"])
    living = tuple(one["name"] for one in listed if not one.get("trash"))
    return Holders(snapshots=living, clones=tuple(clones), watchers=watchers)


def _children(pool: Pool, name: str, snapshot_id: int) -> list[str]:
    with pool.open(name) as image:
        image.set_snap_by_id(snapshot_id)
        try:
            return [child["image"] for child in image.list_children2()]
        except vendor().rbd.ImageNotFound:  # a client died, or two removed it at once
            return ["one that is recorded and not there"]
