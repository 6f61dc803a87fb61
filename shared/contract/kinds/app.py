"""Apps."""

from __future__ import annotations

import msgspec

from shared.contract.kinds.common import LeaseRequest
from shared.contract.kinds.fields import (
    CallbackUrl,
    ClusterId,
    ContainerImage,
    HostName,
    Labels,
    MakingSeconds,
    Manifests,
    Name,
    Port,
    Replicas,
    SecretManifests,
)


class AppSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A workload on a ``cluster``: ``manifests``, or the short form of ``image`` and the rest.

    Manifests are objects of Kubernetes without a namespace: the app has one of its own, and nothing
    outside of it. Those of the kind Secret are write-only: they are taken from ``manifests`` to
    ``secret_manifests``, sealed at the door and never shown. The short form is a Deployment of
    ``replicas``; with a ``port`` also a Service and an Ingress, for ``host`` alone where it is
    said.
    """

    cluster: ClusterId
    manifests: Manifests | None = None
    secret_manifests: SecretManifests | None = None
    image: ContainerImage | None = None
    port: Port | None = None
    replicas: Replicas = 1
    host: HostName | None = None

    def __post_init__(self) -> None:
        if (self.manifests is None) == (self.image is None):
            raise ValueError("Name either manifests or image, and not both.")
        if self.image is None and (self.port, self.replicas, self.host) != (None, 1, None):
            raise ValueError("Without image there are no port, replicas and host.")
        if self.host is not None and self.port is None:
            raise ValueError("A host needs a port, which the Ingress leads to.")
        if self.image is not None and self.secret_manifests is not None:
            raise ValueError("Beside image there are no secret_manifests.")


class CreateApp(AppSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/apps``."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class AppChange(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What of an app can change in place, in the form that it has.

    ``manifests`` replace all that are shown; Secrets stay unless some are named, which then replace
    all of them.
    """

    manifests: Manifests | None = None
    secret_manifests: SecretManifests | None = None
    image: ContainerImage | None = None
    port: Port | None = None
    replicas: Replicas | None = None
    host: HostName | None = None


class UpdateApp(
    AppChange, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``PATCH /v1/apps/{id}``: what it says is rolled out."""

    labels: Labels | None = None
    lease: LeaseRequest | None = None
