"""Virtual machines."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from shared.contract.kinds.common import LeaseRequest
from shared.contract.kinds.fields import (
    Arch,
    CallbackUrl,
    CloudName,
    Labels,
    MakingSeconds,
    Name,
    SshKey,
    UserData,
)


class VmSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A virtual machine. ``user_data`` is write-only: it is sealed at the door and never shown."""

    image: CloudName
    flavor: CloudName
    network: CloudName | None = None
    floating_ip: bool = False
    ssh_keys: Annotated[tuple[SshKey, ...], Meta(max_length=64)] = ()
    user_data: UserData | None = None
    security_groups: Annotated[tuple[CloudName, ...], Meta(max_length=32)] = ()
    arch: Arch | None = None


class CreateVm(VmSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/vms``: the spec and what all kinds have, side by side."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None
