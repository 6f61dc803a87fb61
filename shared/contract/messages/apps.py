"""The k8s_worker's commands and events about apps: workloads on the clusters that it makes."""

from __future__ import annotations

from typing import Any

from shared.contract.messages.base import Message
from shared.contract.problems import Problem
from shared.contract.resources import Moment


class ProvisionApp(Message, frozen=True):
    """Apply an app's objects on ``cluster`` (a resource's id), in a namespace of the app's own.

    They are ``manifests`` and those in ``sealed_secret_manifests`` (a base64 sealed box of a JSON
    array); or what the short form of ``image`` and the rest stands for.
    """

    cloud: str
    cluster: str
    manifests: tuple[dict[str, Any], ...] | None = None
    sealed_secret_manifests: str | None = None
    image: str | None = None
    port: int | None = None
    replicas: int = 1
    host: str | None = None


class ChangeApp(Message, frozen=True):
    """Apply what the app is to be altogether; what it had and this has not goes.

    Its Secrets stay where ``sealed_secret_manifests`` is None.
    """

    cloud: str
    cluster: str
    operation_id: str
    manifests: tuple[dict[str, Any], ...] | None = None
    sealed_secret_manifests: str | None = None
    image: str | None = None
    port: int | None = None
    replicas: int = 1
    host: str | None = None


class DeprovisionApp(Message, frozen=True):
    """Delete the app's namespace, with all that is in it."""

    cloud: str
    cluster: str


class AppInspection(Message, frozen=True):
    """One app to look at, on ``cluster``."""

    resource_id: str
    tenant: str
    cluster: str


class InspectApps(Message, frozen=True):
    """Look at all these apps on the clusters of one cloud."""

    cloud: str
    apps: tuple[AppInspection, ...]


class AppApplied(Message, frozen=True):
    """The cluster has taken all objects; the open step now waits for `AppObserved`."""

    namespace: str


class AppChangeStarted(Message, frozen=True):
    """The cluster has taken all objects; the operation now waits for `AppObserved`."""

    operation_id: str


class AppDeletionStarted(Message, frozen=True):
    """The end of the namespace is ordered; the open undo waits for `AppObserved` with ``gone``.

    ``unanswered``: it could not be ordered, since the API server did not answer.
    """

    unanswered: str | None = None


class AppDeprovisioned(Message, frozen=True):
    """Nothing of this app is left."""


class AppPart(Message, frozen=True):
    """What must be ready of an app: a workload, or what has an address.

    ``done``: it is as it was last asked to be, all of it; ``available``: it does its work. Else
    ``words`` are the cluster's, and ``reason`` one of our vocabulary. ``failed``: the cluster has
    given it up. ``addresses`` are those of an Ingress or a load balancer.
    """

    kind: str
    name: str
    done: bool
    available: bool
    failed: bool = False
    reason: str | None = None
    words: str | None = None
    addresses: tuple[str, ...] = ()


class AppObserved(Message, frozen=True):
    """What a cluster showed of one app at ``observed_at``.

    ``cluster_gone``: Magnum knows no such cluster any more, so there is nothing of the app, either.
    ``gone``: the cluster has no such namespace. ``unanswered`` says in words why the cluster was
    not asked or its API server did not answer. ``going``: the namespace is being removed, and this
    is what is still in it, in the cluster's words.
    """

    observed_at: Moment
    cluster_gone: bool = False
    gone: bool = False
    unanswered: str | None = None
    going: str | None = None
    parts: tuple[AppPart, ...] = ()


class AppInspectionFailed(Message, frozen=True):
    """Magnum could not be asked about the clusters of these apps."""

    cloud: str
    resource_ids: tuple[str, ...]
    problem: Problem
