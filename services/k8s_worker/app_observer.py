"""What clusters show of our apps becomes `AppObserved`.

One list of Magnum's per tenant finds their clusters; what is known of their apps by then is told
(`services.k8s_worker.app_rounds`), and of the others nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from services.k8s_worker import finding
from services.k8s_worker.app_backend import RESOURCE, AppLook
from services.k8s_worker.app_provisioner import AppKit, closed
from services.k8s_worker.app_rounds import Seen
from services.k8s_worker.backend import Backend, Cluster, Project, Unanswered
from shared.contract.messages import (
    AppInspection,
    AppInspectionFailed,
    AppObserved,
    InspectApps,
)
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError
from shared.worker.command import Command, Observation

#: How long an inspection may go on once it has started, in seconds.
LIFE = 45.0


async def inspect_apps(
    backend: Backend, kit: AppKit, command: Command[InspectApps]
) -> list[Observation]:
    """Look at all apps of the command, tenant by tenant, side by side."""
    groups: defaultdict[str, list[AppInspection]] = defaultdict(list)
    for one in command.message.apps:
        groups[one.tenant].append(one)
    seen = await asyncio.gather(
        *(_inspect_tenant(backend, kit, command, *group) for group in groups.items())
    )
    return [observation for group in seen for observation in group]


async def _inspect_tenant(
    backend: Backend,
    kit: AppKit,
    command: Command[InspectApps],
    tenant: str,
    asked: Sequence[AppInspection],
) -> list[Observation]:
    cloud = command.message.cloud
    try:
        project = backend.project(cloud, tenant, Deadline.after(LIFE))
        clusters = await finding.look(project, kit.kit)
    except ColobusError as error:
        ids = tuple(one.resource_id for one in asked)
        return [Observation(command.resource_id, tenant, _failed(cloud, ids, error))]
    by_cluster: defaultdict[str, list[str]] = defaultdict(list)
    for one in asked:
        by_cluster[one.cluster].append(one.resource_id)
    seen = await asyncio.gather(
        *(_inspect_cluster(kit, clusters, name, apps) for name, apps in by_cluster.items())
    )
    return [Observation(name, tenant, one) for found in seen for name, one in found.items()]


def _failed(cloud: str, ids: tuple[str, ...], error: ColobusError) -> AppInspectionFailed:
    return AppInspectionFailed(cloud=cloud, resource_ids=ids, problem=error.problem())


async def _inspect_cluster(
    kit: AppKit,
    clusters: finding.Clusters,
    name: str,
    apps: Sequence[str],
) -> Mapping[str, Seen]:
    project, observed_at = clusters.project, clusters.asked_at
    try:
        found = await clusters.of(name)
    except ColobusError as error:
        return {one: _failed(project.cloud, (one,), error) for one in apps}
    if not found:
        return {one: AppObserved(observed_at=observed_at, cluster_gone=True) for one in apps}
    cluster = found[0]
    if (words := closed(cluster)) is not None:
        return _all_unanswered(observed_at, apps, words)
    return await kit.rounds.look(project, cluster, apps, partial(_look, project, kit, cluster))


def _all_unanswered(
    observed_at: datetime, apps: Iterable[str], words: str
) -> dict[str, AppObserved]:
    return {one: AppObserved(observed_at=observed_at, unanswered=words) for one in apps}


async def _look(project: Project, kit: AppKit, cluster: Cluster, app: str) -> Seen:
    observed_at = datetime.now(UTC)
    try:
        seen = await kit.lookout.ask(
            project, cluster, lambda server: server.look_at_app(app, {RESOURCE: app})
        )
    except Unanswered as error:
        return AppObserved(observed_at=observed_at, unanswered=str(error))
    except ColobusError as error:
        return _failed(project.cloud, (app,), error)
    return observation_of(observed_at, seen)


def observation_of(observed_at: datetime, seen: AppLook | None) -> AppObserved:
    """Return what was seen of one app; None: the cluster has no such namespace. Pure."""
    if seen is None:
        return AppObserved(observed_at=observed_at, gone=True)
    return AppObserved(observed_at=observed_at, going=seen.going, parts=seen.parts)
