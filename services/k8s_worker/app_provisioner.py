"""An app applied, changed or removed, on a cluster that is found by its resource.

All of it is in a namespace of the app's own, named after the resource: what is applied twice is
there once, and what goes with the namespace is gone altogether.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from services.k8s_worker import short_form
from services.k8s_worker.app_backend import (
    INSTALLATION,
    RESOURCE,
    AppObjects,
    ManifestRefused,
)
from services.k8s_worker.app_crowd import Crowd
from services.k8s_worker.app_rounds import AppRounds
from services.k8s_worker.backend import DELETING, ApiServer, Cluster, Project, Unanswered
from services.k8s_worker.draining import LIVING
from services.k8s_worker.finding import clusters_of
from services.k8s_worker.kit import Kit
from services.k8s_worker.lookout import Lookout
from shared.contract import manifests
from shared.contract.messages import ChangeApp, DeprovisionApp, ProvisionApp
from shared.contract.problems import Reason
from shared.runtime.errors import PermanentError, TemporaryError
from shared.runtime.secrets import SealingKey, UnreadableSecret
from shared.runtime.tenants import Tenants
from shared.worker import outcome
from shared.worker.command import Command

T = TypeVar("T")
#: How long all of an app's objects may take to be applied, in seconds.
SECONDS = 60.0
_SHORTEST = 1.0


@dataclass(frozen=True)
class AppKit:
    """What is needed besides the project and the command."""

    kit: Kit
    lookout: Lookout
    sealing_key: SealingKey
    tenants: Tenants
    rounds: AppRounds = field(default_factory=AppRounds)
    crowd: Crowd = field(default_factory=Crowd)


def labels_of(kit: Kit, resource_id: str) -> dict[str, str]:
    """Return the labels that say whose the objects of an app are."""
    return {
        "app.kubernetes.io/managed-by": "colobus",
        INSTALLATION: kit.marks.installation_id,
        RESOURCE: resource_id,
    }


async def apply_app(
    project: Project, kit: AppKit, command: Command[ProvisionApp] | Command[ChangeApp]
) -> str:
    """Apply all objects of the app; return its namespace.

    Raises `ManifestRefused` for what the cluster does not take, `TemporaryError` while it can't be
    asked, and `PermanentError` (reference_not_found) when there is no such cluster.
    """
    message = command.message
    tenant = kit.tenants.by_name(command.tenant)
    anywhere = tenant is not None and tenant.apps_anywhere
    app = AppObjects(
        namespace=command.resource_id,
        labels=labels_of(kit.kit, command.resource_id),
        objects=tuple(_objects(kit.sealing_key, message, anywhere=anywhere)),
        anywhere=anywhere,
        keeps_secrets=isinstance(message, ChangeApp) and message.sealed_secret_manifests is None,
    )

    async def apply(server: ApiServer) -> None:
        # What finding and opening the cluster took is over: nothing is begun when it is too late.
        seconds = command.deadline.remaining(at_most=SECONDS)
        if seconds < _SHORTEST:
            raise outcome.expired()
        await server.apply_app(app, seconds)

    with kit.crowd.room("apply", message.cluster):
        cluster = await _cluster(project, kit.kit, message.cluster)
        await _asked(project, kit, cluster, apply)
    return app.namespace


async def remove_app(
    project: Project, kit: AppKit, command: Command[DeprovisionApp]
) -> tuple[bool, str | None]:
    """Order the end of the app's namespace: whether there is one, and why it could not be ordered.

    An API server that does not answer is no failure: it is for the observations to say when enough
    is enough.
    """
    with kit.crowd.room("remove", command.message.cluster):
        found = await find(project, kit.kit, command.message.cluster)
        if found is None or found.status == DELETING:
            return False, None
        if (words := closed(found)) is not None:
            return True, words
        name = command.resource_id
        try:
            there = await kit.lookout.ask(project, found, lambda server: server.remove_app(name))
        except Unanswered as error:
            return True, str(error)
        return there, None


async def find(project: Project, kit: Kit, resource_id: str) -> Cluster | None:
    """Return the cluster of a resource; None when Magnum has none.

    Raises `TemporaryError` where that can't be said (`finding.Clusters.of`).
    """
    found = await clusters_of(project, kit, resource_id)
    return found[0] if found else None


def closed(cluster: Cluster) -> str | None:
    """Say why the API server of a cluster is not asked; None: it is."""
    if cluster.status not in LIVING:
        return f"Magnum says {cluster.status} of the cluster."
    return None if cluster.api_address else "Magnum knows no address of the API server."


async def _cluster(project: Project, kit: Kit, resource_id: str) -> Cluster:
    found = await find(project, kit, resource_id)
    if found is None or found.status == DELETING:
        detail = f"cluster: Magnum has no {resource_id} any more."
        raise PermanentError(detail, reason=Reason.REFERENCE_NOT_FOUND)
    if (words := closed(found)) is not None:
        raise TemporaryError(words, reason=Reason.CLUSTER_NOT_READY)
    return found


async def _asked(
    project: Project, kit: AppKit, cluster: Cluster, call: Callable[[ApiServer], Awaitable[T]]
) -> T:
    try:
        return await kit.lookout.ask(project, cluster, call)
    except Unanswered as error:
        raise TemporaryError(str(error), reason=Reason.CLUSTER_NOT_READY) from error


def _objects(
    key: SealingKey, message: ProvisionApp | ChangeApp, *, anywhere: bool
) -> list[dict[str, Any]]:
    if message.image is not None:
        return short_form.objects(message.image, message.replicas, message.port, message.host)
    secrets = _secrets(key, message.sealed_secret_manifests, anywhere=anywhere)
    return [*(message.manifests or ()), *secrets]


def _secrets(key: SealingKey, sealed: str | None, *, anywhere: bool) -> list[dict[str, Any]]:
    """Return the Secrets; raises `UnreadableSecret` when they can't be read, or are none."""
    if sealed is None:
        return []
    try:
        found = msgspec.json.decode(key.open_text(sealed), type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        detail = "What secret_manifests were sealed from is no JSON array of objects."
        raise UnreadableSecret(detail) from error
    # By the bus they come as their sender has sealed them, and nobody has looked at them.
    for fault in manifests.faults({manifests.SECRETS: found}, anywhere=anywhere):
        raise ManifestRefused(f"{fault.pointer}: {fault.detail}")
    return found
