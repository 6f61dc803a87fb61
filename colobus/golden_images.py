"""Golden images in a pool of Ceph: what volumes are copies of. For operators, beside the services.

The only file of the client that imports Ceph's libraries, and only when they are needed. An image
is filled and snapshotted under a passing name and then renamed, so what is offered is whole at
whatever moment the importer dies. Who writes an image watches it, in Ceph's own sense: a passing
image that nobody watches was left by somebody who died, and goes with the next call that is about
the same name.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from colobus.errors import NoSuchImage, StoreForbids, StoreRefuses, StoreUnavailable, UnusableInput
from colobus.golden_names import (
    PHONE_HOME,
    PROOF,
    SNAPSHOT,
    Passing,
    golden_image,
    golden_name,
    is_name,
    passing_image,
    passing_name,
)
from colobus.image_files import chunks, runs_of_data, whole_mib

#: Seconds; without them a call waits for ever for a cluster that is down.
_BOUNDS = {"client_mount_timeout": "10", "rados_mon_op_timeout": "10", "rados_osd_op_timeout": "60"}
_FORBIDDEN = frozenset({errno.EPERM, errno.EACCES})
_AWAY = frozenset({errno.ETIMEDOUT, errno.ESHUTDOWN, errno.ENOTCONN, errno.ECONNREFUSED, errno.EIO})
Progress = Callable[[int], None]


@dataclass(frozen=True)
class CephAccess:
    """Where Ceph is and as whom it is asked; without a keyring, ceph.conf says where it is."""

    conf: Path
    pool: str
    user: str = "admin"
    keyring: Path | None = None


@dataclass(frozen=True)
class GoldenImage:
    """An image that is offered; ``clones`` are the RBD images that were made of it.

    ``phones_home``: a machine of it is active when its system has phoned home.
    """

    name: str
    size_bytes: int
    created_at: datetime
    clones: tuple[str, ...]
    phones_home: bool = False


@contextmanager
def golden_images(access: CephAccess) -> Iterator[GoldenImages]:
    """Connect to the pool. Whatever Ceph refuses comes out as a `ColobusError`."""
    try:
        import rados
        import rbd
    except ImportError as error:
        raise UnusableInput(
            "Ceph's libraries for Python are missing: install the Debian packages python3-rados "
            "and python3-rbd, and run colobus with Debian's own Python (a virtual environment "
            "needs --system-site-packages)"
        ) from error
    options = dict(_BOUNDS) | ({"keyring": str(access.keyring)} if access.keyring else {})
    try:
        with _connected(rados, access, options) as ioctx:
            yield GoldenImages(rbd, ioctx)
    except (rados.Error, rbd.Error) as error:
        raise _told(error) from error


@contextmanager
def _connected(rados: Any, access: CephAccess, options: dict[str, str]) -> Iterator[Any]:
    where = f"pool {access.pool} as client.{access.user} by {access.conf}"
    try:
        cluster = rados.Rados(conffile=str(access.conf), rados_id=access.user, conf=options)
    except rados.Error as error:
        raise UnusableInput(f"no way to {where}: {error}") from error
    try:
        try:
            cluster.connect()
            ioctx = cluster.open_ioctx(access.pool)
        except (rados.ObjectNotFound, rados.InvalidArgumentError) as error:  # a key, or the pool
            raise UnusableInput(f"no way to {where}: {error}") from error
        with ioctx:
            yield ioctx
    finally:
        cluster.shutdown()


def _told(error: Exception) -> StoreRefuses | StoreUnavailable | StoreForbids:
    number = getattr(error, "errno", None)
    if number in _FORBIDDEN:
        return StoreForbids(f"Ceph refuses this user: {error}")
    if number is None or number in _AWAY:
        return StoreUnavailable(f"Ceph doesn't answer: {error}")
    return StoreRefuses(f"Ceph refuses: {error}")


class GoldenImages:
    """The golden images of one pool. Its calls block."""

    def __init__(self, rbd: Any, ioctx: Any) -> None:
        self._rbd = rbd
        self._ioctx = ioctx

    def offered(self) -> list[GoldenImage]:
        """Return all of them, by name."""
        found = (self._look(name) for name in sorted(filter(golden_name, self._names())))
        return [image for image in found if image is not None]

    def check_free(self, name: str, *, replace: bool = False) -> None:
        """Raise unless an image may be imported under this name; ``replace``: over another."""
        if not is_name(name):
            raise UnusableInput(
                f"{name!r} can't be a name: 1-63 letters, digits, '.', '_', '-'; "
                "first and last a letter or digit"
            )
        if golden_image(name) in self._names():
            if not replace:
                raise StoreRefuses(f"there is an image {name} already; --replace takes its place")
            self._check_unused(name, golden_image(name))

    def add(
        self,
        name: str,
        file: BinaryIO,
        size: int,
        *,
        replace: bool,
        progress: Progress,
        phones_home: bool = False,
    ) -> GoldenImage:
        """Import a raw disk; ``progress`` is told how many bytes of it are done.

        Whatever goes wrong, Ctrl-C included, nothing of it stays. Raises `StoreRefuses` when the
        name is taken, or, with ``replace``, while the image that has it has clones.
        """
        self.check_free(name, replace=replace)
        self.sweep(name)
        passing = passing_image(Passing.IMPORT, name)
        try:
            self._rbd.RBD().create(self._ioctx, passing, whole_mib(size), old_format=False)
            with self._rbd.Image(self._ioctx, passing) as image:
                _fill(image, file, size, progress)
                if phones_home:
                    image.metadata_set(PROOF, PHONE_HOME)
                image.create_snap(SNAPSHOT)
                # While we watch it, nobody takes it for a leftover.
                self._put_in_place(name, passing, replace=replace)
        except BaseException:
            with suppress(self._rbd.Error):
                self._remove(passing)
            raise
        self.sweep(name)
        found = self._look(golden_image(name))
        if found is None:
            raise NoSuchImage(f"the image {name} was imported, and is gone again")
        return found

    def delete(self, name: str) -> None:
        """Remove an image. Raises `NoSuchImage`, `StoreRefuses` with the names of its clones."""
        image = golden_image(name)
        if image not in self._names():
            if self.sweep(name):
                return
            raise NoSuchImage(f"there is no image {name}")
        self._check_unused(name, image)
        old = passing_image(Passing.OLD, name)
        self._rename(image, old)
        try:
            self._check_unused(name, old)  # from now on nobody finds it to make a volume of it
        except StoreRefuses:
            self._rename(old, image)
            raise
        self._remove(old)
        self.sweep(name)

    def sweep(self, name: str) -> list[str]:
        """Remove what died imports and deletions of this name have left; return what it was."""
        left = [image for image in self._names() if passing_name(image) == name]
        return [image for image in left if self._is_left(image) and self._swept(image)]

    def _put_in_place(self, name: str, passing: str, *, replace: bool) -> None:
        """Rename; an image that has the name goes first, and comes back if ours can't have it."""
        image, old = golden_image(name), passing_image(Passing.OLD, name)
        try:
            if replace and image in self._names():
                self._check_unused(name, image)
                self._rename(image, old)
            self._rename(passing, image)
        except self._rbd.ImageExists as error:
            raise StoreRefuses(f"meanwhile somebody has made an image {name}") from error
        except BaseException:
            names = self._names()
            if old in names and image not in names:
                self._rename(old, image)
            raise

    def _check_unused(self, name: str, image: str) -> None:
        clones = self._clones(image)
        if clones:
            raise StoreRefuses(f"volumes are made of the image {name}: {', '.join(clones)}")
        with self._opened(image) as opened:
            watchers = [str(one["addr"]) for one in opened.watchers_list()]
        if watchers:
            raise StoreRefuses(f"the image {name} is open at {', '.join(watchers)}")

    def _names(self) -> list[str]:
        return list(self._rbd.RBD().list(self._ioctx))

    def _rename(self, image: str, to: str) -> None:
        self._rbd.RBD().rename(self._ioctx, image, to)

    def _look(self, image: str) -> GoldenImage | None:
        """Return an image; None when it is gone, or not whole."""
        with suppress(self._rbd.ImageNotFound), self._opened(image) as opened:
            for snapshot in opened.list_snaps():
                if snapshot["name"] == SNAPSHOT and not snapshot.get("trash"):
                    return GoldenImage(
                        name=golden_name(image) or image,
                        size_bytes=int(snapshot["size"]),
                        created_at=opened.create_timestamp().replace(tzinfo=UTC),
                        clones=tuple(self._clones(image)),
                        phones_home=(PROOF, PHONE_HOME) in list(opened.metadata_list()),
                    )
        return None

    def _clones(self, image: str) -> list[str]:
        found = []
        with self._opened(image) as opened:
            for snapshot in list(opened.list_snaps()):
                opened.set_snap_by_id(snapshot["id"])
                found += [str(child["image"]) for child in opened.list_children2()]
        return sorted(found)

    def _opened(self, image: str) -> Any:
        """Open an image to look: so it isn't watched."""
        return self._rbd.Image(self._ioctx, image, read_only=True)

    def _is_left(self, image: str) -> bool:
        """Tell whether nobody is at work on it, and nothing was made of it in the last moment."""
        with suppress(self._rbd.ImageNotFound), self._opened(image) as opened:
            return not list(opened.watchers_list()) and not self._clones(image)
        return False

    def _swept(self, image: str) -> bool:
        """Somebody else may be sweeping, too."""
        with suppress(self._rbd.ImageNotFound, self._rbd.ImageBusy, self._rbd.ImageHasSnapshots):
            self._remove(image)
            return True
        return False

    def _remove(self, image: str) -> None:
        with self._rbd.Image(self._ioctx, image) as opened:
            for snapshot in list(opened.list_snaps()):
                if snapshot.get("trash"):  # left there by clones that are gone by now
                    opened.remove_snap_by_id(snapshot["id"])
                    continue
                if opened.is_protected_snap(snapshot["name"]):
                    opened.unprotect_snap(snapshot["name"])
                opened.remove_snap(snapshot["name"])
        self._rbd.RBD().remove(self._ioctx, image)


def _fill(image: Any, file: BinaryIO, size: int, progress: Progress) -> None:
    """Write what isn't zero: a new image reads as zeros where nothing was written."""
    image.flush()  # from its first flush on, librbd keeps writes together
    for at, chunk in chunks(file, size):
        for begin, end in runs_of_data(chunk):
            image.write(chunk[begin:end], at + begin)
        progress(at + len(chunk))
    image.flush()
    progress(size)
