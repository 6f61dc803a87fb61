"""The one step of a cluster: what Magnum makes, proven by its own API server. Pure.

Magnum's word alone proves nothing: the cluster is active when its API server answers to a
certificate that Magnum has signed, says the version that was asked for, and shows as many workers
Ready. Nobody tells of clusters by themselves, so those on their way are asked for at the quick pace
(``unproven``).
"""

from __future__ import annotations

from collections.abc import Sequence

from services.scheduler.cluster_sightings import (
    STEP,
    TOLD,
    bad_outputs,
    cluster_made,
    cluster_undone,
    condition,
    held_up_since,
    may_pass,
    outputs_of,
    resize_failed,
    resized,
    undo_held_up,
    waits_for,
)
from services.scheduler.definitions import (
    Absorbed,
    Held,
    Inspection,
    OperationDefinition,
    StepDefinition,
    WorkflowDefinition,
)
from services.scheduler.state import Progress, ResourceState
from shared.contract.messages import (
    ClusterCreateStarted,
    ClusterDeletionStarted,
    ClusterDeprovisioned,
    ClusterInspection,
    ClusterObserved,
    ClusterResizeStarted,
    DeprovisionCluster,
    InspectClusters,
    ProvisionCluster,
    ResizeCluster,
)
from shared.contract.problems import Reason
from shared.contract.resources import Operation

WORKER = "k8s_worker"
#: Longer than Magnum gives itself, in seconds: that its time is over is Magnum's to say.
PATIENCE = 3900


def _provision(state: ResourceState) -> ProvisionCluster:
    spec = state.resource.spec
    return ProvisionCluster(
        cloud=state.place,
        node_count=spec["node_count"],
        version=spec["version"],
        flavor=spec.get("flavor"),
        template=spec.get("template"),
        arch=spec.get("arch"),
        look_until=state.progress.get(STEP, Progress()).unknown_until,
    )


def _create_started(event: ClusterCreateStarted) -> Absorbed:
    known = {"cluster_id": event.cluster_id, "template_id": event.template_id}
    return Absorbed(done=False, unproven=True, handles=known, outputs=known)


def _deletion_started(event: ClusterDeletionStarted) -> Absorbed:
    left = {"left_behind": list(event.left)} if event.left else {}
    handles = {"cluster_id": event.cluster_id, **TOLD}
    return Absorbed(done=False, unproven=True, handles=handles, outputs=left)


def _deprovision(state: ResourceState) -> DeprovisionCluster:
    draining_since, silent_since = held_up_since(state)
    return DeprovisionCluster(
        cloud=state.place,
        cluster_id=state.handles.get("cluster_id"),
        drain=state.progress.get(STEP, Progress()).made,
        draining_since=draining_since,
        silent_since=silent_since,
        force=_is_forced(state),
    )


def _is_forced(state: ResourceState) -> bool:
    """A lease that has ended waits for no apps, which would keep the cluster and its cost alive."""
    ending = state.ending
    return ending is not None and (ending.force or ending.reason is Reason.LEASE_EXPIRED)


def _resize(state: ResourceState, operation: Operation) -> ResizeCluster:
    assert operation.node_count is not None, "a cluster knows no other verb"
    return ResizeCluster(
        cloud=state.place,
        cluster_id=state.handles["cluster_id"],
        operation_id=operation.id,
        node_count=operation.node_count,
    )


def _inspect(cloud: str, states: Sequence[ResourceState]) -> InspectClusters:
    return InspectClusters(
        cloud=cloud,
        clusters=tuple(
            ClusterInspection(
                resource_id=state.resource.id,
                tenant=state.resource.tenant,
                cluster_id=state.handles.get("cluster_id"),
            )
            for state in states
        ),
    )


CLUSTER_WORKFLOW = WorkflowDefinition(
    kind="cluster",
    worker=WORKER,
    steps=(
        StepDefinition(
            name=STEP,
            worker=WORKER,
            make=_provision,
            made_by={ClusterCreateStarted: _create_started},
            sees_made=cluster_made,
            undo=_deprovision,
            undone_by={
                ClusterDeprovisioned: lambda _: Absorbed(),
                ClusterDeletionStarted: _deletion_started,
            },
            sees_undone=cluster_undone,
            patience=PATIENCE,
            undo_held_up=undo_held_up,
            so_far=waits_for,
        ),
    ),
    inspections=(Inspection(WORKER, ClusterObserved, _inspect),),
    is_about=lambda _state, _seen: True,  # nothing is told but what was asked for
    outputs=outputs_of,
    bad_outputs=bad_outputs,
    condition=condition,
    may_pass=may_pass,
    operations=OperationDefinition(
        command=_resize,
        accepted_by=ClusterResizeStarted,
        done=resized,
        in_vain=resize_failed,
        unproven=True,
        patience=PATIENCE,
    ),
    holds={"cluster": Held("cluster_id", WORKER)},
)
