"""What is read of a cluster's objects, and nothing more: fields of version 1 of the API.

Old API servers are asked too. A name is what Kubernetes takes for one (a DNS subdomain, RFC 1123):
it becomes part of paths and of what we tell.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=253)]
_Word = Annotated[str, Meta(max_length=253)]


class Object(msgspec.Struct, rename="camel"):
    """The ``metadata`` of an object."""

    name: Name
    namespace: Name | None = None
    labels: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class Anything(msgspec.Struct, kw_only=True):
    """An object of any kind."""

    metadata: Object


class VersionInfo(msgspec.Struct, rename="camel"):
    """GET /version."""

    git_version: Annotated[str, Meta(max_length=64)]


class Condition(msgspec.Struct):
    """One of a node's conditions; ``status`` is "True", "False" or "Unknown"."""

    type: _Word
    status: _Word
    reason: str | None = None
    message: str | None = None


class NodeAddress(msgspec.Struct):
    """One of a node's addresses."""

    type: _Word
    address: _Word


class NodeStatus(msgspec.Struct):
    """What a node says of itself."""

    conditions: list[Condition] | None = None
    addresses: list[NodeAddress] | None = None


class ShownNode(Anything, kw_only=True):
    """A Node."""

    status: NodeStatus | None = None


class ServiceSpec(msgspec.Struct):
    """Of a Service."""

    type: str | None = None


class ShownService(Anything, kw_only=True):
    """A Service."""

    spec: ServiceSpec | None = None


class VolumeSpec(msgspec.Struct, rename="camel"):
    """Of a PersistentVolume."""

    persistent_volume_reclaim_policy: str | None = None


class ShownVolume(Anything, kw_only=True):
    """A PersistentVolume."""

    spec: VolumeSpec | None = None


class PodVolume(msgspec.Struct, rename="camel"):
    """A volume of a pod; with either of these it has a claim."""

    persistent_volume_claim: dict[str, Any] | None = None
    ephemeral: dict[str, Any] | None = None


class PodSpec(msgspec.Struct):
    """Of a Pod."""

    volumes: list[PodVolume] | None = None


class ShownPod(Anything, kw_only=True):
    """A Pod."""

    spec: PodSpec | None = None


class EndpointSubset(msgspec.Struct):
    """Those behind a Service that are ready."""

    addresses: list[dict[str, Any]] | None = None


class ShownEndpoints(msgspec.Struct):
    """The Endpoints of a Service."""

    subsets: list[EndpointSubset] | None = None


class DeploymentStatus(msgspec.Struct):
    """Of a Deployment."""

    conditions: list[Condition] | None = None


class ShownDeployment(msgspec.Struct):
    """A Deployment."""

    status: DeploymentStatus | None = None


class DaemonSetStatus(msgspec.Struct, rename="camel"):
    """Of a DaemonSet."""

    number_ready: int = 0
    desired_number_scheduled: int = 0


class ShownDaemonSet(msgspec.Struct):
    """A DaemonSet."""

    status: DaemonSetStatus | None = None
