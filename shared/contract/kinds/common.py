"""What all kinds have in their bodies."""

from __future__ import annotations

import msgspec

from shared.contract.kinds.fields import Labels, Seconds


class LeaseRequest(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """How long the resource may live, in seconds."""

    ttl: Seconds


class UpdateResource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``PATCH …/{id}``: what can change in place. ``labels`` replaces all."""

    labels: Labels | None = None
    lease: LeaseRequest | None = None


class ExtendLease(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST …/extend``: the lease then ends ``ttl`` seconds from now."""

    ttl: Seconds


class NoChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing of a spec can change in place."""
