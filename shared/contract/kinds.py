"""The kinds of resource and what a user may say of each: one table, `KINDS`.

A later kind (machine, volume, cluster, …) adds its spec struct and its row here.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.contract.resources import POWER_VERBS, Resource, Verb

#: The prefix of a secret field of a spec that has been sealed to the worker that needs it.
SEALED = "sealed_"

#: Ends every pattern: Python's ``$`` also matches before a last line feed, ECMAScript's doesn't.
_END = r"$(?!\n)"

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?" + _END,
        description="1-63 letters, digits, '.', '_', '-'; first and last a letter or digit",
    ),
]
LabelKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?" + _END)]
#: No control characters: PostgreSQL can't store NUL, and nobody can read the others.
LabelValue = Annotated[str, Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*" + _END)]
#: A name or id of something in the cloud (image, flavor, network, security group).
CloudName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+" + _END)]
SshKey = Annotated[
    str,
    Meta(
        max_length=16384,
        pattern=r"^(ssh-(rsa|ed25519|dss)|ecdsa-sha2-nistp(256|384|521)"
        r"|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) [A-Za-z0-9+/=]+( [^\x00\r\n]*)?"
        + _END,
        description="one OpenSSH public key, as in authorized_keys",
    ),
]
Seconds = Annotated[int, Meta(ge=1, le=30 * 86400, description="seconds, 1 s to 30 days")]
Labels = Annotated[dict[LabelKey, LabelValue], Meta(max_length=64)]
MakingSeconds = Annotated[int, Meta(ge=1, le=86400, description="seconds for the making")]
CallbackUrl = Annotated[str, Meta(min_length=1, max_length=2048)]


class VmSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A virtual machine. ``user_data`` is write-only: it is sealed at the door and never shown."""

    image: CloudName
    flavor: CloudName
    network: CloudName | None = None
    floating_ip: bool = False
    ssh_keys: Annotated[tuple[SshKey, ...], Meta(max_length=64)] = ()
    user_data: Annotated[str, Meta(min_length=1, max_length=49152)] | None = None
    security_groups: Annotated[tuple[CloudName, ...], Meta(max_length=32)] = ()
    arch: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}" + _END)] | None = None


class LeaseRequest(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """How long the resource may live, in seconds."""

    ttl: Seconds


class CreateVm(VmSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/vms``: the spec and what all kinds have, side by side."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class UpdateResource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``PATCH /v1/vms/{id}``: what can change in place. ``labels`` replaces all."""

    labels: Labels | None = None
    lease: LeaseRequest | None = None


class ExtendLease(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST …/extend``: the lease then ends ``ttl`` seconds from now."""

    ttl: Seconds


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What the parts need to know of a kind.

    ``secrets`` are the fields of the spec that are sealed to ``worker`` and never echoed;
    ``verbs`` are those beyond create and delete.
    """

    name: str
    plural: str
    worker: str
    spec: type[msgspec.Struct]
    create: type[msgspec.Struct]
    update: type[msgspec.Struct]
    secrets: tuple[str, ...] = ()
    verbs: frozenset[Verb] = frozenset()


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="vm",
            plural="vms",
            worker="vm_worker",
            spec=VmSpec,
            create=CreateVm,
            update=UpdateResource,
            secrets=("user_data",),
            verbs=frozenset({Verb.EXTEND, Verb.UPDATE}) | POWER_VERBS,
        ),
    )
}


def without_secrets(resource: Resource) -> Resource:
    """Return the resource without what is write-only in its spec, sealed or not."""
    kind = KINDS.get(resource.kind)
    secrets = kind.secrets if kind else ()
    hidden = {name for secret in secrets for name in (secret, SEALED + secret)}
    spec = {name: value for name, value in resource.spec.items() if name not in hidden}
    return msgspec.structs.replace(resource, spec=spec)


def demand_of(kind: str, spec: dict[str, Any]) -> dict[str, int]:
    """What a resource counts for against its tenant's quota: {quota name: amount}."""
    demand = {KINDS[kind].plural: 1}
    if spec.get("floating_ip"):
        demand["floating_ips"] = 1
    return demand
