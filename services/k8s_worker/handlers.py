"""One function per command: unpack, call, emit. `HANDLERS` is the map of this worker."""

from __future__ import annotations

from collections.abc import Sequence

from services.k8s_worker import census, observer, provisioner
from services.k8s_worker.context import Context
from shared.contract.messages import (
    ClusterCreateStarted,
    ClusterDeletionStarted,
    ClusterDeprovisioned,
    ClusterResizeStarted,
    DeprovisionCluster,
    InspectClusters,
    Message,
    OrphanRemoved,
    ProvisionCluster,
    RemoveOrphan,
    ResizeCluster,
    TakeCensus,
)
from shared.worker.command import Answer, Command, Handlers


async def provision_cluster(
    command: Command[ProvisionCluster], context: Context
) -> Sequence[Message]:
    """→ `ClusterCreateStarted`; that it is made is seen by an inspection."""
    project = context.project(command)
    cluster, template = await provisioner.provision_cluster(project, context.kit, command)
    return [ClusterCreateStarted(cluster_id=cluster, template_id=template)]


async def deprovision_cluster(
    command: Command[DeprovisionCluster], context: Context
) -> Sequence[Message]:
    """→ `ClusterDeletionStarted`, or `ClusterDeprovisioned` when there is none (any more)."""
    project = context.project(command)
    going = await provisioner.deprovision_cluster(project, context.kit, context.lookout, command)
    if going is None:
        return [ClusterDeprovisioned()]
    return [ClusterDeletionStarted(cluster_id=going[0], left=tuple(going[1]))]


async def resize_cluster(command: Command[ResizeCluster], context: Context) -> Sequence[Message]:
    """→ `ClusterResizeStarted`; that it has its new size is seen by an inspection."""
    await provisioner.resize_cluster(context.project(command), context.kit, command)
    return [ClusterResizeStarted(node_count=command.message.node_count)]


async def inspect_clusters(command: Command[InspectClusters], context: Context) -> Sequence[Answer]:
    """→ `ClusterObserved` for each cluster, or `ClusterInspectionFailed`."""
    return await observer.inspect_clusters(context.backend, context.lookout, context.kit, command)


async def take_census(command: Command[TakeCensus], context: Context) -> Sequence[Answer]:
    """→ `CensusTaken`, in as many parts as it takes."""
    return await census.answer_census(context.backend, context.kit, context.tenants, command)


async def remove_orphan(command: Command[RemoveOrphan], context: Context) -> Sequence[Message]:
    """→ `OrphanRemoved`, or nothing while it is going: the next census tells whether it went."""
    order = command.message
    gone = await provisioner.remove_orphan(context.project(command), context.kit, order)
    removed = OrphanRemoved(place=order.place, what=order.what, object_id=order.object_id)
    return [removed] if gone else []


HANDLERS: Handlers[Context] = {
    ProvisionCluster: provision_cluster,
    DeprovisionCluster: deprovision_cluster,
    ResizeCluster: resize_cluster,
    InspectClusters: inspect_clusters,
    TakeCensus: take_census,
    RemoveOrphan: remove_orphan,
}
