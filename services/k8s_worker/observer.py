"""What Magnum and the API servers show of our clusters becomes `ClusterObserved`.

One list per tenant shows how all of them stand with Magnum; those that it calls complete are asked
themselves, side by side.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from services.k8s_worker.backend import Backend, Cluster, Look, Node, Project, Unanswered
from services.k8s_worker.draining import LIVING
from services.k8s_worker.lookout import Lookout
from services.k8s_worker.provisioner import Kit
from shared.contract.messages import (
    ClusterInspection,
    ClusterInspectionFailed,
    ClusterObserved,
    InspectClusters,
    KubernetesNode,
)
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError
from shared.worker.command import Command, Observation
from shared.worker.duplicates import oldest_first

#: How long an inspection may go on once it has started, in seconds.
LIFE = 45.0
#: How much of Magnum's reason is told.
_LONGEST = 2000


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
        nodes=() if look is None else tuple(_node(one) for one in look.nodes),
    )


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
        # Before the question, not after the answer: what changes in between is not seen.
        observed_at = datetime.now(UTC)
        listed: defaultdict[str, list[Cluster]] = defaultdict(list)
        for cluster in await project.clusters():
            if (owner := kit.owner(cluster)) is not None:
                listed[owner].append(cluster)
    except ColobusError as error:
        ids = tuple(one.resource_id for one in asked)
        return [Observation(command.resource_id, tenant, _failed(cloud, ids, error))]
    looks = (
        _look(project, lookout, observed_at, one, listed.get(one.resource_id, ())) for one in asked
    )
    return [
        Observation(one.resource_id, tenant, shown)
        for one, shown in zip(asked, await asyncio.gather(*looks), strict=True)
    ]


def _failed(cloud: str, ids: tuple[str, ...], error: ColobusError) -> ClusterInspectionFailed:
    return ClusterInspectionFailed(cloud=cloud, resource_ids=ids, problem=error.problem())


async def _look(
    project: Project,
    lookout: Lookout,
    observed_at: datetime,
    asked: ClusterInspection,
    listed: Sequence[Cluster],
) -> ClusterObserved | ClusterInspectionFailed:
    cluster = _chosen(asked, listed)
    try:
        if cluster is None and asked.cluster_id is not None:
            cluster = await project.cluster(asked.cluster_id)  # proof that it is gone
        if cluster is None:
            await lookout.forget(asked.cluster_id or "")
            return observation_of(observed_at, None, cluster_id=asked.cluster_id)
        return observation_of(observed_at, cluster, await _seen(project, lookout, cluster))
    except ColobusError as error:
        return _failed(project.cloud, (asked.resource_id,), error)


def _chosen(asked: ClusterInspection, listed: Sequence[Cluster]) -> Cluster | None:
    """The one that the ledger knows, else the oldest: so every replica chooses alike."""
    ordered = oldest_first(listed, rank=lambda one: one.id != asked.cluster_id)
    return ordered[0] if ordered else None


async def _seen(project: Project, lookout: Lookout, cluster: Cluster) -> Look | str | None:
    if cluster.status not in LIVING:
        return None
    if not cluster.api_address:
        return "Magnum knows no address of the API server."
    try:
        return await lookout.look(project, cluster)
    except Unanswered as error:
        return str(error)
