"""The one step of an app: its objects applied on its cluster, proven by what that shows. Pure.

That all is applied proves nothing: the app is active when its workloads are rolled out and its
Ingresses and load balancers have an address. Clusters tell nothing by themselves, so apps on their
way are asked for at the quick pace (``unproven``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.scheduler.app_sightings import (
    app_made,
    app_undone,
    bad_outputs,
    change_failed,
    changed,
    condition,
    outputs_of,
    waits_for,
)
from services.scheduler.changing_spec import spec_after
from services.scheduler.definitions import (
    Absorbed,
    Inspection,
    OperationDefinition,
    StepDefinition,
    WorkflowDefinition,
)
from services.scheduler.state import ResourceState, SpecChange
from shared.contract.manifests import SECRETS
from shared.contract.messages import (
    AppApplied,
    AppChangeStarted,
    AppDeletionStarted,
    AppDeprovisioned,
    AppInspection,
    AppObserved,
    ChangeApp,
    DeprovisionApp,
    InspectApps,
    ProvisionApp,
)
from shared.contract.resources import Operation

WORKER = "k8s_worker"
STEP = "app"
#: How long a roll-out may take, in seconds: the cluster itself gives it up earlier, mostly.
PATIENCE = 1800


def _what(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What an app is, in the words that making and changing it share."""
    manifests = spec.get("manifests")
    return {
        "cluster": spec["cluster"],
        "manifests": None if manifests is None else tuple(manifests),
        "image": spec.get("image"),
        "port": spec.get("port"),
        "replicas": spec.get("replicas", 1),
        "host": spec.get("host"),
    }


def _provision(state: ResourceState) -> ProvisionApp:
    return ProvisionApp(
        cloud=state.place,
        sealed_secret_manifests=state.sealed.get(SECRETS),
        **_what(state.resource.spec),
    )


def _applied(event: AppApplied) -> Absorbed:
    return Absorbed(done=False, unproven=True, outputs={"namespace": event.namespace})


def _change(state: ResourceState, operation: Operation) -> ChangeApp:
    change = state.changes.get(operation.id, SpecChange())
    return ChangeApp(
        cloud=state.place,
        operation_id=operation.id,
        sealed_secret_manifests=change.sealed.get(SECRETS),
        **_what(spec_after(state, operation.id)),
    )


def _inspect(cloud: str, states: Sequence[ResourceState]) -> InspectApps:
    return InspectApps(
        cloud=cloud,
        apps=tuple(
            AppInspection(
                resource_id=state.resource.id,
                tenant=state.resource.tenant,
                cluster=state.resource.spec["cluster"],
            )
            for state in states
        ),
    )


APP_WORKFLOW = WorkflowDefinition(
    kind="app",
    worker=WORKER,
    steps=(
        StepDefinition(
            name=STEP,
            worker=WORKER,
            make=_provision,
            made_by={AppApplied: _applied},
            sees_made=app_made,
            undo=lambda state: DeprovisionApp(
                cloud=state.place, cluster=state.resource.spec["cluster"]
            ),
            undone_by={
                AppDeprovisioned: lambda _: Absorbed(),
                AppDeletionStarted: lambda _: Absorbed(done=False, unproven=True),
            },
            sees_undone=app_undone,
            patience=PATIENCE,
            so_far=waits_for,
        ),
    ),
    inspections=(Inspection(WORKER, AppObserved, _inspect),),
    is_about=lambda _state, _seen: True,  # nothing is told but what was asked for
    outputs=outputs_of,
    bad_outputs=bad_outputs,
    condition=condition,
    may_pass=lambda seen: seen.unanswered is not None,
    holds={},  # all that it is made of is in its cluster, which is counted
    operations=OperationDefinition(
        command=_change,
        accepted_by=AppChangeStarted,
        done=changed,
        failed=change_failed,
        unproven=True,
        patience=PATIENCE,
    ),
)
