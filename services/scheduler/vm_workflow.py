"""The steps of a VM: a port; then, side by side, the server on it and its floating IP."""

from __future__ import annotations

from collections.abc import Sequence

from services.scheduler.definitions import (
    Absorbed,
    Held,
    Inspection,
    OperationDefinition,
    StepDefinition,
    WorkflowDefinition,
)
from services.scheduler.network_steps import HOLDS, PORT, WORKER, floating_ip_step, port_step
from services.scheduler.state import Progress, ResourceState
from services.scheduler.vm_sightings import (
    DOUBTFUL,
    condition,
    is_about,
    outputs_of,
    power_changed,
    server_made,
    server_undone,
)
from shared.contract.messages import (
    ChangeVmPower,
    DeprovisionVm,
    InspectVms,
    Message,
    ProvisionVm,
    VmBuildStarted,
    VmDeletionStarted,
    VmDeprovisioned,
    VmInspection,
    VmObserved,
    VmPowerChangeStarted,
)
from shared.contract.resources import Operation


def _provision(state: ResourceState) -> Message:
    spec = state.resource.spec
    return ProvisionVm(
        cloud=state.place,
        image=spec["image"],
        flavor=spec["flavor"],
        port_id=state.handles["port_id"],
        name=state.resource.name,
        ssh_keys=tuple(spec.get("ssh_keys", ())),
        sealed_user_data=state.sealed.get("user_data"),
        labels=state.resource.labels,
        look_until=state.progress.get("server", Progress()).unknown_until,
    )


def _build_started(event: VmBuildStarted) -> Absorbed:
    return Absorbed(
        done=False,
        handles={"server_id": event.server_id, DOUBTFUL: "yes" if event.doubtful else ""},
        outputs={"server_id": event.server_id},
    )


def _deletion_started(event: VmDeletionStarted) -> Absorbed:
    doubt = {DOUBTFUL: "yes"} if event.doubtful else {}
    return Absorbed(done=False, handles={"server_id": event.server_id, **doubt})


def _change_power(state: ResourceState, operation: Operation) -> Message:
    return ChangeVmPower(
        cloud=state.place,
        server_id=state.handles["server_id"],
        operation_id=operation.id,
        verb=operation.verb,
        asked_at=operation.started_at,
    )


def _inspect(cloud: str, states: Sequence[ResourceState]) -> Message:
    return InspectVms(
        cloud=cloud,
        vms=tuple(
            VmInspection(
                resource_id=state.resource.id,
                tenant=state.resource.tenant,
                server_id=state.handles.get("server_id"),
                port_id=state.handles.get("port_id"),
                floating_ip_id=state.handles.get("floating_ip_id"),
            )
            for state in states
        ),
    )


VM_WORKFLOW = WorkflowDefinition(
    kind="vm",
    worker=WORKER,
    steps=(
        port_step(),
        StepDefinition(
            name="server",
            worker=WORKER,
            after=(PORT,),
            make=_provision,
            made_by={VmBuildStarted: _build_started},
            sees_made=server_made,
            undo=lambda state: DeprovisionVm(
                cloud=state.place,
                server_id=state.handles.get("server_id"),
                doubtful=bool(state.handles.get(DOUBTFUL)),
            ),
            undone_by={
                VmDeprovisioned: lambda _: Absorbed(),
                VmDeletionStarted: _deletion_started,
            },
            sees_undone=server_undone,
        ),
        floating_ip_step(),
    ),
    inspections=(Inspection(WORKER, VmObserved, _inspect),),
    is_about=is_about,
    outputs=outputs_of,
    condition=condition,
    operations=OperationDefinition(
        command=_change_power, accepted_by=VmPowerChangeStarted, done=power_changed
    ),
    holds={
        "floating_ip": HOLDS["floating_ip"],
        "server": Held("server_id", WORKER),
        "port": HOLDS["port"],
    },
)
