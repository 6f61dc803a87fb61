"""What Magnum and the API servers show of our clusters becomes `ClusterObserved`.

One list per tenant shows how all of them stand with Magnum; those that it calls complete are asked
themselves, side by side.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from services.k8s_worker import finding
from services.k8s_worker.backend import (
    CREATING,
    Backend,
    Checked,
    Cluster,
    Look,
    Node,
    Project,
    Unanswered,
)
from services.k8s_worker.draining import LIVING
from services.k8s_worker.kit import Kit
from services.k8s_worker.looking import NotYet
from services.k8s_worker.lookout import Lookout
from shared.contract.messages import (
    ClusterCheck,
    ClusterInspection,
    ClusterInspectionFailed,
    ClusterObserved,
    InspectClusters,
    KubernetesNode,
)
from shared.runtime.deadline import Deadline, DeadlineExpired
from shared.runtime.errors import ColobusError
from shared.worker.command import Command, Observation
from shared.worker.duplicates import oldest_first

#: How long an inspection may go on once it has started, in seconds.
LIFE = 45.0
#: How much of Magnum's reason is told, and how many nodes: each status message carries them.
_LONGEST = 2000
MOST_NODES = 300


def observation_of(
    observed_at: datetime,
    cluster: Cluster | None,
    seen: Look | str | None = None,
    *,
    cluster_id: str | None = None,
) -> ClusterObserved:
    """Return what was seen of one cluster; None means that Magnum knows none. Pure.

    ``seen`` is what its API server said, or why it did not answer.
    """
    if cluster is None:
        return ClusterObserved(observed_at=observed_at, cluster_id=cluster_id, gone=True)
    look = seen if isinstance(seen, Look) else None
    return ClusterObserved(
        observed_at=observed_at,
        cluster_id=cluster.id,
        cluster_status=cluster.status,
        status_reason=cluster.reason[:_LONGEST] or None,
        node_count=cluster.node_count,
        api_address=cluster.api_address or None,
        unanswered=seen if isinstance(seen, str) else None,
        version=None if look is None else look.version,
        nodes=() if look is None else tuple(_node(one) for one in _told(look.nodes)),
        nodes_total=0 if look is None else len(look.nodes),
        nodes_ready=0 if look is None else sum(one.ready for one in look.nodes),
        checks=() if look is None else tuple(_check(one) for one in look.checks),
    )


def _told(nodes: Sequence[Node]) -> list[Node]:
    """Those that are not ready first, if it has to be."""
    told = sorted(nodes, key=lambda one: (one.ready, one.name))[:MOST_NODES]
    return sorted(told, key=lambda one: one.name)


def _check(one: Checked) -> ClusterCheck:
    return ClusterCheck(name=one.name, passed=not one.words, reason=one.words or None)


def _node(shown: Node) -> KubernetesNode:
    return KubernetesNode(
        name=shown.name,
        ready=shown.ready,
        address=shown.address or None,
        reason=shown.reason or None,
    )


async def inspect_clusters(
    backend: Backend, lookout: Lookout, kit: Kit, command: Command[InspectClusters]
) -> list[Observation]:
    """Look at all clusters of the command, tenant by tenant, side by side."""
    groups: defaultdict[str, list[ClusterInspection]] = defaultdict(list)
    for one in command.message.clusters:
        groups[one.tenant].append(one)
    seen = await asyncio.gather(
        *(_inspect_tenant(backend, lookout, kit, command, *group) for group in groups.items())
    )
    return [observation for group in seen for observation in group]


async def _inspect_tenant(
    backend: Backend,
    lookout: Lookout,
    kit: Kit,
    command: Command[InspectClusters],
    tenant: str,
    asked: Sequence[ClusterInspection],
) -> list[Observation]:
    cloud = command.message.cloud
    try:
        project = backend.project(cloud, tenant, Deadline.after(LIFE))
        clusters = await finding.look(project, kit)
    except ColobusError as error:
        ids = tuple(one.resource_id for one in asked)
        return [Observation(command.resource_id, tenant, _failed(cloud, ids, error))]
    looks = (_look(project, lookout, clusters, one) for one in asked)
    seen = zip(asked, await asyncio.gather(*looks), strict=True)
    return [Observation(one.resource_id, tenant, shown) for one, shown in seen if shown is not None]


def _failed(cloud: str, ids: tuple[str, ...], error: ColobusError) -> ClusterInspectionFailed:
    return ClusterInspectionFailed(cloud=cloud, resource_ids=ids, problem=error.problem())


async def _look(
    project: Project, lookout: Lookout, clusters: finding.Clusters, asked: ClusterInspection
) -> ClusterObserved | ClusterInspectionFailed | None:
    """Return what is known of it; None: nothing yet, which is no observation."""
    try:
        async with asyncio.timeout(LIFE):
            return await _observed(project, lookout, clusters, asked)
    except NotYet:
        return None
    except TimeoutError:
        error: ColobusError = DeadlineExpired("There was no time to look at this cluster.")
    except ColobusError as failed:
        error = failed
    return _failed(project.cloud, (asked.resource_id,), error)


async def _observed(
    project: Project, lookout: Lookout, clusters: finding.Clusters, asked: ClusterInspection
) -> ClusterObserved:
    at = clusters.asked_at
    found = await clusters.of(asked.resource_id, asked.cluster_id)
    # The one that the ledger knows, else the oldest: so every replica chooses alike.
    chosen = oldest_first(found, rank=lambda one: one.id != asked.cluster_id)
    if not chosen:
        await lookout.forget(asked.cluster_id or "")
        return observation_of(at, None, cluster_id=asked.cluster_id)
    since, seen = await _seen(project, lookout, chosen[0])
    return observation_of(min(since or at, at), chosen[0], seen)


async def _seen(
    project: Project, lookout: Lookout, cluster: Cluster
) -> tuple[datetime | None, Look | str | None]:
    """What its API server says, or why it does not; and since when, if it was asked earlier."""
    if cluster.status == CREATING:
        lookout.prepare(project, cluster)
    if cluster.status not in LIVING:
        return None, None
    if not cluster.api_address:
        return None, "Magnum knows no address of the API server."
    try:
        return await lookout.look(project, cluster)
    except Unanswered as error:
        return None, str(error)
