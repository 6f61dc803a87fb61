"""The kinds of resource, what a user may say of each, and what follows from that.

One room per family of kinds, and their table, `KINDS`, in `table`; all are had from here.
"""

from __future__ import annotations

from shared.contract.kinds.cluster import is_version
from shared.contract.kinds.common import ExtendLease, UpdateResource
from shared.contract.kinds.fields import (
    GIB,
    CallbackUrl,
    CloudName,
    KubernetesVersion,
    LabelKey,
    Labels,
    LabelValue,
    MakingSeconds,
    Name,
    Seconds,
)
from shared.contract.kinds.storage import AttachmentSpec, CreateVolume, VolumeSpec, least_size_gib
from shared.contract.kinds.table import (
    KINDS,
    SEALED,
    SIZES,
    Kind,
    demand_of,
    references_of,
    without_secrets,
)
from shared.contract.kinds.vm import CreateVm, VmSpec

__all__ = [
    "GIB",
    "KINDS",
    "SEALED",
    "SIZES",
    "AttachmentSpec",
    "CallbackUrl",
    "CloudName",
    "CreateVm",
    "CreateVolume",
    "ExtendLease",
    "Kind",
    "KubernetesVersion",
    "LabelKey",
    "LabelValue",
    "Labels",
    "MakingSeconds",
    "Name",
    "Seconds",
    "UpdateResource",
    "VmSpec",
    "VolumeSpec",
    "demand_of",
    "is_version",
    "least_size_gib",
    "references_of",
    "without_secrets",
]
