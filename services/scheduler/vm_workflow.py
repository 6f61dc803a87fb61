"""The steps of a VM: a port; then, side by side, the server on it and its floating IP."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from services.scheduler.definitions import (
    Absorbed,
    Sighting,
    StepDefinition,
    WorkflowDefinition,
    doubt_of,
)
from services.scheduler.state import ResourceState
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
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Operation, Verb

WORKER = "vm_worker"
_DOUBTFUL = doubt_of("server")
#: The handle that says until when another server, though gone, may still cost this one its port:
#: Nova's compute host ends a build that was given up a good while after the server is gone.
_BESIDE_UNTIL = "beside_until"
_AFTER_ANOTHER = timedelta(seconds=60)
_PORT_LOST = Problem(
    title="Port lost",
    detail="Nova has taken the port off the server, which can't be reached any more.",
    reason=Reason.SERVER_ERROR,
    retryable=True,
)
_POWER_STATES = {"ACTIVE": "running", "SHUTOFF": "stopped", "PAUSED": "paused"}


def _prepare_port(state: ResourceState) -> Message:
    spec = state.resource.spec
    return PrepareVmPort(
        cloud=state.cloud,
        network=spec.get("network"),
        security_groups=tuple(spec.get("security_groups", ())),
        name=state.resource.name,
    )


def _provision(state: ResourceState) -> Message:
    spec = state.resource.spec
    return ProvisionVm(
        cloud=state.cloud,
        image=spec["image"],
        flavor=spec["flavor"],
        port_id=state.handles["port_id"],
        name=state.resource.name,
        ssh_keys=tuple(spec.get("ssh_keys", ())),
        sealed_user_data=state.sealed.get("user_data"),
        labels=state.resource.labels,
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
        handles={"server_id": event.server_id, _DOUBTFUL: "yes" if event.doubtful else ""},
        outputs={"server_id": event.server_id},
    )


def _deletion_started(event: VmDeletionStarted) -> Absorbed:
    doubt = {_DOUBTFUL: "yes"} if event.doubtful else {}
    return Absorbed(done=False, handles={"server_id": event.server_id, **doubt})


def _floating_ip_associated(event: FloatingIpAssociated) -> Absorbed:
    return Absorbed(
        handles={"floating_ip_id": event.floating_ip_id},
        outputs={"floating_ip": event.floating_ip_address},
    )


def _server_made(state: ResourceState, seen: VmObserved) -> Sighting:
    """ACTIVE counts only with the port up: Nova alone doesn't prove that the VM is reachable."""
    if seen.gone:
        detail = "The server disappeared from Nova while it was being built."
        problem = Problem(title="Server disappeared", detail=detail, retryable=True)
        return Sighting(failed=(Reason.REMOVED_EXTERNALLY, problem))
    if seen.server_status == "ERROR":
        fault = seen.fault or Problem(title="Build failed", detail="Nova gave no reason.")
        return Sighting(failed=(_reason(fault, Reason.BUILD_FAILED), fault))
    if seen.beside:
        until = seen.observed_at + _AFTER_ANOTHER
        return Sighting(unproven=True, handles={_BESIDE_UNTIL: until.isoformat()})
    if _in_doubt(state, seen):
        return Sighting(unproven=seen.server_status == "ACTIVE")
    if seen.port_lost:
        return Sighting(again=_PORT_LOST)
    if seen.server_status == "ACTIVE" and seen.port_status == "ACTIVE":
        # Of two that a lost answer has left, this is the one that got the port.
        server_id = seen.server_id or state.handles["server_id"]
        outputs = {**_outputs(state, seen), "server_id": server_id, **_console(server_id)}
        return Sighting(done=True, handles={"server_id": server_id}, outputs=outputs)
    return Sighting(unproven=seen.server_status == "ACTIVE")


def _in_doubt(state: ResourceState, seen: VmObserved) -> bool:
    """Where another server may be, only an inspection sees it; where one was, it is waited for."""
    until = state.handles.get(_BESIDE_UNTIL)
    late_harm = until is not None and seen.observed_at < datetime.fromisoformat(until)
    return late_harm or (seen.notified and bool(state.handles.get(_DOUBTFUL)))


def _is_about(state: ResourceState, seen: VmObserved) -> bool:
    """An older attempt's server may be told of late; only the one that the ledger knows counts."""
    return seen.server_id is not None and seen.server_id == state.handles.get("server_id")


def _server_undone(state: ResourceState, seen: VmObserved) -> Sighting:
    if seen.notified and state.handles.get(_DOUBTFUL):
        return Sighting(unproven=seen.gone)  # an inspection sees whether any other is left
    return Sighting(done=seen.gone)


def _reason(problem: Problem, default: Reason) -> Reason:
    return Reason(problem.reason) if problem.reason in set(Reason) else default


def _outputs(state: ResourceState, seen: VmObserved) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    if seen.server_status in _POWER_STATES:
        outputs["power_state"] = _POWER_STATES[seen.server_status]
    if "server_id" in state.handles:
        outputs |= _console(state.handles["server_id"])
    return outputs


def _console(server_id: str) -> dict[str, Any]:
    return {"console_hint": f"openstack console url show {server_id}"}


def _condition(state: ResourceState, seen: VmObserved) -> tuple[Reason, str, bool] | None:
    if seen.gone and seen.server_id not in (None, state.handles.get("server_id")):
        return None  # late news of a server that this VM had before
    if seen.gone:
        return Reason.REMOVED_EXTERNALLY, "The server no longer exists in Nova.", True
    if seen.server_status == "ERROR":
        fault = seen.fault.detail if seen.fault else None
        return Reason.SERVER_ERROR, fault or "Nova reports the server in ERROR.", False
    if seen.port_lost:
        return Reason.SERVER_ERROR, _PORT_LOST.detail or _PORT_LOST.title, False
    return None


def _change_power(state: ResourceState, operation: Operation) -> Message:
    return ChangeVmPower(
        cloud=state.cloud,
        server_id=state.handles["server_id"],
        operation_id=operation.id,
        verb=operation.verb,
        asked_at=operation.started_at,
    )


def _power_changed(operation: Operation, seen: VmObserved) -> bool:
    wanted = "SHUTOFF" if operation.verb is Verb.STOP else "ACTIVE"
    return seen.server_status == wanted and seen.task_state is None


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
    steps=(
        StepDefinition(
            name="port",
            worker=WORKER,
            make=_prepare_port,
            made_by={VmPortPrepared: _port_prepared},
            undo=lambda state: ReleaseVmPort(
                cloud=state.cloud,
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
            sees_made=_server_made,
            undo=lambda state: DeprovisionVm(
                cloud=state.cloud,
                server_id=state.handles.get("server_id"),
                doubtful=bool(state.handles.get(_DOUBTFUL)),
            ),
            undone_by={
                VmDeprovisioned: lambda _: Absorbed(),
                VmDeletionStarted: _deletion_started,
            },
            sees_undone=_server_undone,
        ),
        StepDefinition(
            name="floating_ip",
            worker=WORKER,
            after=("port",),
            wanted=lambda state: bool(state.resource.spec.get("floating_ip")),
            make=lambda state: AssociateFloatingIp(
                cloud=state.cloud, port_id=state.handles["port_id"]
            ),
            made_by={FloatingIpAssociated: _floating_ip_associated},
            undo=lambda state: ReleaseFloatingIp(
                cloud=state.cloud,
                port_id=state.handles.get("port_id"),
                floating_ip_id=state.handles.get("floating_ip_id"),
            ),
            undone_by={FloatingIpReleased: lambda _: Absorbed()},
        ),
    ),
    observation=VmObserved,
    is_about=_is_about,
    outputs=_outputs,
    condition=_condition,
    worker=WORKER,
    inspect=_inspect,
    operation_command=_change_power,
    operation_accepted_by=VmPowerChangeStarted,
    operation_done=_power_changed,
    holds={"floating_ip": "floating_ip_id", "server": "server_id", "port": "port_id"},
)
