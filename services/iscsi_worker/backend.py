"""What we ask of a store, as Protocols, and what its things look like to us.

`RbdBackend` is a pool of Ceph (`rbd_calls`, through `rbd_backend`), `Gateway` what offers its
images over iSCSI (`tgt_gateway`, `ceph_iscsi_gateway`). Errors come out as `TemporaryError`
(`OutcomeUnknown` where it may yet be done) or as one of `shared.worker.errors`. Nothing starts
after the deadline that they were made with.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from shared.runtime.deadline import Deadline
from shared.worker.chap import Account

#: How exactly a LUN's size is told.
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Source:
    """What a clone is made of: a snapshot of an image."""

    image: str
    snapshot: str


@dataclass(frozen=True)
class RbdSnapshot:
    """A snapshot; ``trashed``: removed, and kept by Ceph as long as clones of it live."""

    name: str
    size: int
    trashed: bool = False


@dataclass(frozen=True)
class RbdImage:
    """An image. ``size`` is in bytes; ``parent`` is what it is a clone of.

    ``notes`` is what of its metadata is ours; a clone begins with those of its parent.
    """

    name: str
    size: int
    parent: Source | None = None
    snapshots: tuple[RbdSnapshot, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Holders:
    """What keeps an image from being removed: names of snapshots and clones, addresses."""

    snapshots: tuple[str, ...] = ()
    clones: tuple[str, ...] = ()
    watchers: tuple[str, ...] = ()


class RbdBackend(Protocol):
    """A pool of Ceph."""

    async def names(self) -> list[str]:
        """Return the names of all images."""

    async def image(self, name: str) -> RbdImage | None:
        """Return one image; None when there is none of that name."""

    async def images(self, names: Collection[str]) -> dict[str, RbdImage]:
        """Return those of the images that are there."""

    async def present(self, names: Collection[str]) -> frozenset[str]:
        """Return which of these names are taken: far cheaper than to open the images."""

    async def find_snapshot(self, images: Collection[str], snapshot: str) -> str | None:
        """Return which of the images has this snapshot."""

    async def create(self, name: str, size: int) -> None:
        """Make a blank image; `Conflict` when the name is taken."""

    async def clone(self, source: Source, name: str) -> None:
        """Make a copy-on-write clone; `Conflict` when the name is taken, `NotFound`."""

    async def resize(self, name: str, size: int) -> None:
        """Change the size of an image, whatever that does to what is in it."""

    async def grow(self, name: str, size: int) -> None:
        """Make an image so large, in bytes, unless it is as large or larger. `NotFound`."""

    async def age(self, name: str) -> float | None:
        """Return how many seconds ago the name of an image was taken; None when it is free."""

    async def holds_data(self, name: str) -> bool:
        """Tell whether anything was ever written to the image itself."""

    async def prove(self, name: str) -> int:
        """Open the image and read its first block; return its size. `NotFound`."""

    async def read(self, name: str, length: int) -> bytes:
        """Return the first bytes of an image, fewer where it is shorter. `NotFound`."""

    async def write(self, name: str, content: bytes) -> bytes:
        """Write the first bytes of an image, to stay, and return what Ceph then has there.

        `Conflict` when another is making it.
        """

    async def note(self, name: str, key: str, value: str) -> None:
        """Add to the notes of an image. `NotFound`."""

    async def remove(self, name: str) -> None:
        """Remove an image; `NotFound`, or `Conflict` when something holds it."""

    async def holders(self, name: str) -> Holders:
        """Return what holds an image; what Ceph should have purged is purged. `NotFound`."""

    async def take_snapshot(self, image: str, snapshot: str) -> None:
        """Take a snapshot; `Conflict` when the name is taken, `NotFound`."""

    async def remove_snapshot(self, image: str, snapshot: str) -> None:
        """Remove a snapshot; `NotFound`. Where clones of it live, Ceph keeps what they need."""


@dataclass(frozen=True)
class Session:
    """An initiator that is logged in to a target; ``id`` is the gateway's.

    ``alias`` is what it calls itself (RFC 3720 §12.6), empty where it says nothing.
    """

    id: str
    initiator_iqn: str
    address: str = ""
    alias: str = ""

    @property
    def of_system(self) -> bool:
        """Tell whether an operating system is logged in, and no firmware.

        open-iscsi says the host's name, whatever it is by then; iPXE and its like say nothing.
        """
        return bool(self.alias)

    def __str__(self) -> str:
        return f"{self.initiator_iqn} from {self.address}" if self.address else self.initiator_iqn


@dataclass(frozen=True)
class Target:
    """A target as the gateway shows it. ``luns`` is {number: RBD image of the store's pool}.

    ``initiators`` are those who may log in, ``usernames`` the CHAP accounts they may use.
    """

    iqn: str
    luns: dict[int, str]
    initiators: tuple[str, ...] = ()
    usernames: tuple[str, ...] = ()
    sessions: tuple[Session, ...] = ()
    #: {image: size of its LUN in bytes, by the decimal megabyte}, where the gateway tells.
    sizes: dict[str, int] = field(default_factory=dict)

    def is_outdated(self, images: Collection[RbdImage]) -> bool:
        """Tell whether one of these has grown since its LUN was made."""
        return any(
            image.size - self.sizes.get(image.name, image.size) > _MEGABYTE for image in images
        )

    def exports(self, image: str) -> bool:
        """Tell whether one of its LUNs is this image."""
        return image in self.luns.values()

    def luns_of(self, images: Collection[str]) -> tuple[int, ...]:
        """The numbers of the LUNs that are these images; raises `KeyError` where one is none."""
        numbers = {image: number for number, image in self.luns.items()}
        return tuple(numbers[image] for image in images)


@dataclass(frozen=True)
class Disk:
    """An image as an initiator is to see it. ``serial`` is the SCSI serial number."""

    image: str
    serial: str


@dataclass(frozen=True)
class Export:
    """What is to be offered: disks, in this order, to one initiator, with one account."""

    target_iqn: str
    initiator_iqn: str
    disks: tuple[Disk, ...]
    account: Account

    @property
    def images(self) -> tuple[str, ...]:
        """The images of all disks."""
        return tuple(disk.image for disk in self.disks)

    def is_offered_by(self, target: Target | None) -> bool:
        """Tell whether the target offers exactly this, to this initiator alone."""
        return (
            target is not None
            and sorted(target.luns.values()) == sorted(self.images)
            and target.initiators == (self.initiator_iqn,)
            and target.usernames == (self.account.username,)
        )


class Gateway(Protocol):
    """What offers images over iSCSI."""

    @property
    def portals(self) -> tuple[str, ...]:
        """Where initiators log in: ``address:port``."""

    async def targets(self, sessions_of: Collection[str] = ()) -> dict[str, Target]:
        """Return all targets by name. A gateway that forgot everything has none.

        Sessions are certain to be shown of the targets ``sessions_of`` alone: they may cost a call
        each.
        """

    async def prepare(self, export: Export) -> None:
        """Make what is missing of target, LUNs and account; nobody can log in through this."""

    async def admit(self, export: Export) -> None:
        """Let the initiator in, and no other."""

    async def shut(self, target_iqn: str) -> None:
        """Let nobody log in any more; who is logged in works on. Without a target: nothing."""

    async def grow(self, image: str, size: int) -> None:
        """Grow an image that is offered, where only the gateway can show that to who is logged in.

        ``size`` is in bytes. Elsewhere nothing: the target is outdated when the image has grown,
        and is made anew.
        """

    async def disconnect(self, target: Target) -> None:
        """Close the connections of those who are logged in."""

    async def remove(self, target_iqn: str, usernames: Collection[str]) -> None:
        """Remove target, LUNs and accounts; `Conflict` while somebody is logged in."""

    async def release(self, image: str) -> None:
        """Let go of an image that no target offers; of one that is offered, nothing."""


@dataclass(frozen=True)
class Store:
    """One store for one command."""

    name: str
    rbd: RbdBackend
    gateway: Gateway


class Stores(Protocol):
    """All stores of the stores file."""

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""

    def store(self, name: str, deadline: Deadline) -> Store:
        """Return one store; raises `PermanentError` (no_store)."""

    async def close(self) -> None:
        """Let go of all connections."""
