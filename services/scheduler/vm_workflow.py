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
    doubt_of,
)
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
    AssociateFloatingIp,
    ChangeVmPower,
    DeprovisionVm,
    FloatingIpAssociated,
    FloatingIpReleased,
    InspectVms,
    Message,
    PrepareVmPort,
    ProvisionVm,
    ReleaseFloatingIp,
    ReleaseVmPort,
    VmBuildStarted,
    VmDeletionStarted,
    VmDeprovisioned,
    VmInspection,
    VmObserved,
    VmPortPrepared,
    VmPortReleased,
    VmPowerChangeStarted,
)
from shared.contract.resources import Operation

WORKER = "vm_worker"


def _prepare_port(state: ResourceState) -> Message:
    spec = state.resource.spec
    return PrepareVmPort(
        cloud=state.place,
        network=spec.get("network"),
        security_groups=tuple(spec.get("security_groups", ())),
        name=state.resource.name,
    )


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


def _port_prepared(event: VmPortPrepared) -> Absorbed:
    return Absorbed(
        handles={"port_id": event.port_id},
        outputs={
            "addresses": list(event.fixed_ips),
            "mac_address": event.mac_address,
            "network_id": event.network_id,
        },
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


def _floating_ip_associated(event: FloatingIpAssociated) -> Absorbed:
    return Absorbed(
        handles={"floating_ip_id": event.floating_ip_id},
        outputs={"floating_ip": event.floating_ip_address},
    )


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
        StepDefinition(
            name="port",
            worker=WORKER,
            make=_prepare_port,
            made_by={VmPortPrepared: _port_prepared},
            undo=lambda state: ReleaseVmPort(
                cloud=state.place,
                port_id=state.handles.get("port_id"),
                doubtful=bool(state.handles.get(doubt_of("port"))),
            ),
            undone_by={VmPortReleased: lambda _: Absorbed()},
        ),
        StepDefinition(
            name="server",
            worker=WORKER,
            after=("port",),
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
        StepDefinition(
            name="floating_ip",
            worker=WORKER,
            after=("port",),
            wanted=lambda state: bool(state.resource.spec.get("floating_ip")),
            make=lambda state: AssociateFloatingIp(
                cloud=state.place, port_id=state.handles["port_id"]
            ),
            made_by={FloatingIpAssociated: _floating_ip_associated},
            undo=lambda state: ReleaseFloatingIp(
                cloud=state.place,
                port_id=state.handles.get("port_id"),
                floating_ip_id=state.handles.get("floating_ip_id"),
            ),
            undone_by={FloatingIpReleased: lambda _: Absorbed()},
        ),
    ),
    inspections=(Inspection(WORKER, VmObserved, _inspect),),
    is_about=is_about,
    outputs=outputs_of,
    condition=condition,
    operations=OperationDefinition(
        command=_change_power, accepted_by=VmPowerChangeStarted, done=power_changed
    ),
    holds={
        "floating_ip": Held("floating_ip_id", WORKER),
        "server": Held("server_id", WORKER),
        "port": Held("port_id", WORKER),
    },
)
