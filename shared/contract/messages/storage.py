"""The iscsi_worker's commands and events: volumes, snapshots, attachments, on stores."""

from __future__ import annotations

from shared.contract.messages.base import Message
from shared.contract.problems import Problem
from shared.contract.resources import Moment


class ProvisionVolume(Message, frozen=True):
    """Make the volume: blank, or a copy-on-write clone of a golden image or a snapshot (its id)."""

    store: str
    size_gib: int | None = None
    image: str | None = None
    snapshot: str | None = None


class GrowVolume(Message, frozen=True):
    """Make the volume ``size_gib`` large; one that is, or is larger, stays as it is."""

    store: str
    operation_id: str
    size_gib: int


class DeprovisionVolume(Message, frozen=True):
    """Delete the volume. What somebody holds stays, and the answer says who."""

    store: str


class TakeSnapshot(Message, frozen=True):
    """Take the snapshot of ``volume`` (its id)."""

    store: str
    volume: str


class RemoveSnapshot(Message, frozen=True):
    """Delete the snapshot of ``volume`` (its id)."""

    store: str
    volume: str


class AttachVolume(Message, frozen=True):
    """Offer ``volume`` (its id) over iSCSI, with CHAP, to one initiator alone.

    It is named, or it is that of the ``machine`` (its id), whose name follows from the id.
    """

    store: str
    volume: str
    initiator_iqn: str | None = None
    machine: str | None = None


class DetachVolume(Message, frozen=True):
    """Take the offer back, when the initiator has logged out; ``force``: even under it."""

    store: str
    volume: str
    initiator_iqn: str | None = None
    machine: str | None = None
    force: bool = False


class StoredThing(Message, frozen=True):
    """One resource on a store to look at. ``volume`` is the id of the volume it is about.

    An attachment is for ``initiator_iqn``, or for the initiator of ``machine`` (its id).
    ``phones_home``: of a machine, whether its system is to do so and has not been heard yet.
    """

    resource_id: str
    tenant: str
    volume: str
    initiator_iqn: str | None = None
    machine: str | None = None
    phones_home: bool = False


class InspectStorage(Message, frozen=True):
    """Look at all these volumes, snapshots and attachments of one store."""

    store: str
    things: tuple[StoredThing, ...]


class VolumeProvisioned(Message, frozen=True):
    """The volume is there and was opened. ``rbd_image`` is its name in the store's pool."""

    rbd_image: str
    size_bytes: int


class VolumeGrown(Message, frozen=True):
    """The volume has ``size_bytes`` now and was opened."""

    operation_id: str
    size_bytes: int


class VolumeDeprovisioned(Message, frozen=True):
    """No volume of this resource is left."""


class SnapshotTaken(Message, frozen=True):
    """The snapshot is there. ``rbd_snapshot`` is ``image@snapshot`` in the store's pool."""

    rbd_snapshot: str
    size_bytes: int


class SnapshotRemoved(Message, frozen=True):
    """No snapshot of this resource is left."""


class VolumeAttached(Message, frozen=True):
    """The gateway reports the LUN, and access for that initiator alone.

    ``portals`` are ``address:port``; ``chap_username`` is what the initiator logs in with: the
    secret is only told to the owner who asks (`GetAttachmentCredentials`).
    """

    target_iqn: str
    initiator_iqn: str
    lun: int
    portals: tuple[str, ...]
    chap_username: str


class VolumeDetached(Message, frozen=True):
    """Nothing is offered for this attachment any more."""


class StorageObserved(Message, frozen=True):
    """What the store showed of one resource at ``observed_at``.

    ``gone``: it knows no such thing any more. ``size_bytes`` is that of volumes and snapshots. Of
    an attachment or a machine: ``offered``: the gateway has its target, LUNs and access (it forgets
    them when it is restarted); ``initiators`` are those logged in; ``systems`` are those of them
    that are an operating system, and no firmware; ``outdated``: the volume has grown, and its LUN
    has the size of before; ``gone``: its volume is no more. ``phoned_home``: whether a machine's
    system has; None where it was not asked for.
    """

    observed_at: Moment
    gone: bool = False
    size_bytes: int | None = None
    offered: bool = True
    initiators: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    outdated: bool = False
    phoned_home: bool | None = None


class StorageInspectionFailed(Message, frozen=True):
    """The store could not be asked about these resources."""

    store: str
    resource_ids: tuple[str, ...]
    problem: Problem


class GetStorageCatalog(Message, frozen=True):
    """→ iscsi_worker: which golden images the stores have."""


class GoldenImage(Message, frozen=True):
    """An image that volumes can be made of."""

    name: str
    size_gib: int


class StoreCatalog(Message, frozen=True):
    """What one store offers."""

    store: str
    images: tuple[GoldenImage, ...]


class StorageCatalogReported(Message, frozen=True):
    """The stores' offers, and the faults of those that could not be asked."""

    stores: tuple[StoreCatalog, ...]
    problems: tuple[Problem, ...] = ()


class GetAttachmentCredentials(Message, frozen=True):
    """→ iscsi_worker: what the initiator logs in with, sealed to the asker's one-time key.

    ``public_key`` is base64. The asker has checked whose attachment it is.
    """

    store: str
    attachment: str
    volume: str
    public_key: str
    initiator_iqn: str | None = None
    machine: str | None = None


class AttachmentCredentialsIssued(Message, frozen=True):
    """``sealed_secret`` is the CHAP secret in a sealed box (base64) that the asker alone opens."""

    target_iqn: str
    lun: int
    portals: tuple[str, ...]
    initiator_iqn: str
    chap_username: str
    sealed_secret: str
