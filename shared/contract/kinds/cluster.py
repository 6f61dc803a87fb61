"""Clusters."""

from __future__ import annotations

import msgspec

from shared.contract.kinds.common import LeaseRequest
from shared.contract.kinds.fields import (
    Arch,
    CallbackUrl,
    CloudName,
    KubernetesVersion,
    Labels,
    MakingSeconds,
    Name,
    NodeCount,
)


class ClusterSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A Kubernetes cluster of ``node_count`` workers.

    ``flavor`` is that of its nodes, else the operator's. ``template`` is one of Magnum's by its
    name or id; without one, that of version, flavor and arch is found or made.
    """

    node_count: NodeCount
    version: KubernetesVersion
    flavor: CloudName | None = None
    template: CloudName | None = None
    arch: Arch | None = None


class CreateCluster(
    ClusterSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST /v1/clusters``."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class ClusterChange(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What of a cluster's spec can change in place: it grows and shrinks."""

    node_count: NodeCount | None = None


class UpdateCluster(
    ClusterChange, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``PATCH /v1/clusters/{id}``: ``node_count`` is how many workers it is to have."""

    labels: Labels | None = None
    lease: LeaseRequest | None = None


def is_version(shown: str, wanted: str) -> bool:
    """Tell whether a version ("v1.20.2-1") is the one asked for ("1.20.2"), or of it ("1.20")."""
    found = shown.removeprefix("v").split("+")[0].split("-")[0].split(".")
    asked = wanted.split(".")
    return found[: len(asked)] == asked
