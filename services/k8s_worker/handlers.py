"""One function per command: unpack, call, emit. `HANDLERS` is the map of this worker."""

from __future__ import annotations

from collections.abc import Sequence

from services.k8s_worker import app_observer, app_provisioner, census, observer, provisioner
from services.k8s_worker.context import Context
from shared.contract.messages import (
    AppApplied,
    AppChangeStarted,
    AppDeletionStarted,
    AppDeprovisioned,
    ChangeApp,
    ClusterCreateStarted,
    ClusterDeletionStarted,
    ClusterDeprovisioned,
    ClusterResizeStarted,
    DeprovisionApp,
    DeprovisionCluster,
    InspectApps,
    InspectClusters,
    Message,
    OrphanRemoved,
    ProvisionApp,
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


async def provision_app(command: Command[ProvisionApp], context: Context) -> Sequence[Message]:
    """→ `AppApplied`; that it is rolled out is seen by an inspection."""
    namespace = await app_provisioner.apply_app(context.project(command), context.apps, command)
    return [AppApplied(namespace=namespace)]


async def change_app(command: Command[ChangeApp], context: Context) -> Sequence[Message]:
    """→ `AppChangeStarted`; that it is rolled out is seen by an inspection."""
    await app_provisioner.apply_app(context.project(command), context.apps, command)
    return [AppChangeStarted(operation_id=command.message.operation_id)]


async def deprovision_app(command: Command[DeprovisionApp], context: Context) -> Sequence[Message]:
    """→ `AppDeletionStarted`, or `AppDeprovisioned` when there is nothing (any more)."""
    there, words = await app_provisioner.remove_app(context.project(command), context.apps, command)
    return [AppDeletionStarted(unanswered=words) if there else AppDeprovisioned()]


async def inspect_apps(command: Command[InspectApps], context: Context) -> Sequence[Answer]:
    """→ `AppObserved` for each app, or `AppInspectionFailed`."""
    return await app_observer.inspect_apps(context.backend, context.apps, command)


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
    ProvisionApp: provision_app,
    ChangeApp: change_app,
    DeprovisionApp: deprovision_app,
    InspectApps: inspect_apps,
    TakeCensus: take_census,
    RemoveOrphan: remove_orphan,
}
