"""Volumes, snapshots and attachments."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.contract.kinds.common import LeaseRequest
from shared.contract.kinds.fields import (
    GIB,
    CallbackUrl,
    CloudName,
    InitiatorIqn,
    Labels,
    MachineId,
    MakingSeconds,
    Name,
    SizeGib,
    SnapshotId,
    VolumeId,
)


class VolumeSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A block volume: blank (``size_gib`` alone), or a copy of ``image`` or of ``snapshot``.

    A copy has the size of what it is made of, or the larger ``size_gib``.
    """

    size_gib: SizeGib | None = None
    image: CloudName | None = None
    snapshot: SnapshotId | None = None

    def __post_init__(self) -> None:
        if self.size_gib is None and self.image is None and self.snapshot is None:
            raise ValueError("Name one of size_gib, image, snapshot.")
        if self.image is not None and self.snapshot is not None:
            raise ValueError("Name either image or snapshot, not both.")


class CreateVolume(
    VolumeSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST /v1/volumes``."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class VolumeChange(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What of a volume's spec can change in place: it can grow."""

    size_gib: SizeGib | None = None


class UpdateVolume(
    VolumeChange, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``PATCH /v1/volumes/{id}``: ``size_gib`` makes it larger, never smaller."""

    labels: Labels | None = None
    lease: LeaseRequest | None = None


class SnapshotSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What a volume holds at a moment; new volumes can be made of it."""

    volume: VolumeId


class CreateSnapshot(
    SnapshotSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST /v1/snapshots``."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class AttachmentSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A volume offered over iSCSI to one initiator, and to no other.

    To one of which the name is known, or to the tenant's own ``machine``.
    """

    volume: VolumeId
    initiator_iqn: InitiatorIqn | None = None
    machine: MachineId | None = None

    def __post_init__(self) -> None:
        if (self.initiator_iqn is None) == (self.machine is None):
            raise ValueError("Name either initiator_iqn or machine, and not both.")


class CreateAttachment(
    AttachmentSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST /v1/attachments``."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


def least_size_gib(spec: dict[str, Any], outputs: dict[str, Any]) -> int:
    """The least ``size_gib`` that a volume can be asked to have: what it has already."""
    in_bytes: int = outputs.get("size_bytes") or 0
    return max(spec.get("size_gib") or 1, -(-in_bytes // GIB))
