"""What is seen of a VM, and what it means for its steps, its condition and its outputs. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from services.scheduler.definitions import Sighting, doubt_of
from services.scheduler.state import Progress, ResourceState
from shared.contract.messages import VmObserved
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Operation, Verb

DOUBTFUL = doubt_of("server")
#: The handle that says until when another server, though gone, may still cost this one its port:
#: Nova's compute host ends a build that was given up a good while after the server is gone.
_BESIDE_UNTIL = "beside_until"
_AFTER_ANOTHER = timedelta(seconds=60)
#: The handle that says since when the server has been in ERROR without a reason. So Nova calls what
#: a compute host was building when it was killed; the host, up again, may go on and finish it.
_ERROR_SINCE = "error_since"
_ERROR_PASSES = timedelta(seconds=15)
#: The handle that says that another server has been this one's undoing, and it was made anew: once.
_MADE_ANEW = "made_anew"
_PORT_LOST = Problem(
    title="Port lost",
    detail="Nova has taken the port off the server, which can't be reached any more.",
    reason=Reason.SERVER_ERROR,
    retryable=True,
)
_POWER_STATES = {"ACTIVE": "running", "SHUTOFF": "stopped", "PAUSED": "paused"}


def server_made(state: ResourceState, seen: VmObserved) -> Sighting:
    """ACTIVE counts only with the port up: Nova alone doesn't prove that the VM is reachable.

    Of two servers that a lost answer has left, one can't live; what is told of that one says
    nothing of the VM. An inspection sees all of them and shows the best.
    """
    if seen.beside:
        until = seen.observed_at + _AFTER_ANOTHER
        doubt = {_BESIDE_UNTIL: until.isoformat(), DOUBTFUL: "yes"}
        return Sighting(unproven=True, handles={**doubt, "server_id": _shown(state, seen)})
    if seen.notified and state.handles.get(DOUBTFUL):
        return Sighting(unproven=True)
    if seen.gone:
        detail = "The server disappeared from Nova while it was being built."
        problem = Problem(title="Server disappeared", detail=detail, retryable=True)
        return Sighting(failed=(Reason.REMOVED_EXTERNALLY, problem))
    if seen.server_status == "ERROR":
        return _in_error(state, seen)
    if _late_harm(state, seen):
        return Sighting(unproven=seen.server_status == "ACTIVE")
    if seen.port_lost:
        return Sighting(again=_PORT_LOST)
    if seen.server_status == "ACTIVE" and seen.port_status == "ACTIVE":
        # Of two that a lost answer has left, this is the one that got the port.
        server_id = _shown(state, seen)
        outputs = {**outputs_of(state, seen), "server_id": server_id, **_console(server_id)}
        return Sighting(done=True, handles={"server_id": server_id}, outputs=outputs)
    if state.handles.get(_ERROR_SINCE):  # that has passed
        return Sighting(unproven=True, handles={_ERROR_SINCE: ""})
    return Sighting(unproven=seen.server_status == "ACTIVE")


def _in_error(state: ResourceState, seen: VmObserved) -> Sighting:
    since = state.handles.get(_ERROR_SINCE) or seen.observed_at.isoformat()
    if seen.fault is None and seen.observed_at < datetime.fromisoformat(since) + _ERROR_PASSES:
        return Sighting(unproven=True, handles={_ERROR_SINCE: since})
    fault = seen.fault or Problem(title="Build failed", detail="Nova gave no reason.")
    reason = _reason(fault, Reason.BUILD_FAILED)
    not_alone = state.handles.get(_BESIDE_UNTIL) or state.handles.get(DOUBTFUL)
    if not_alone and reason is Reason.BUILD_FAILED and not state.handles.get(_MADE_ANEW):
        # Another one may have been its undoing: when that went, it took the port along.
        return Sighting(
            again=fault, handles={_BESIDE_UNTIL: "", _ERROR_SINCE: "", _MADE_ANEW: "yes"}
        )
    return Sighting(failed=(reason, fault))


def _shown(state: ResourceState, seen: VmObserved) -> str:
    return seen.server_id or state.handles["server_id"]


def _late_harm(state: ResourceState, seen: VmObserved) -> bool:
    """Where another server was, its end may cost this one its port for a while."""
    until = state.handles.get(_BESIDE_UNTIL)
    return bool(until) and seen.observed_at < datetime.fromisoformat(until or "")


def is_about(state: ResourceState, seen: VmObserved) -> bool:
    """An older attempt's server may be told of late; only the one that the ledger knows counts."""
    return seen.server_id is not None and seen.server_id == state.handles.get("server_id")


def server_undone(state: ResourceState, seen: VmObserved) -> Sighting:
    """Gone is undone; in doubt only when all of the VM's servers were looked for.

    So it is, too, of a server that was never seen made: Nova tells of its end while its compute
    host is still building, and lists it until that has noticed.
    """
    made = state.progress.get("server", Progress()).made
    if seen.notified and (state.handles.get(DOUBTFUL) or not made):
        return Sighting(unproven=seen.gone)  # an inspection sees whether any is left
    return Sighting(done=seen.gone)


def _reason(problem: Problem, default: Reason) -> Reason:
    return Reason(problem.reason) if problem.reason in set(Reason) else default


def outputs_of(state: ResourceState, seen: VmObserved) -> dict[str, Any]:
    """Return what a living VM shows of itself: {output: value}."""
    outputs: dict[str, Any] = {}
    if seen.server_status in _POWER_STATES:
        outputs["power_state"] = _POWER_STATES[seen.server_status]
    if "server_id" in state.handles:
        outputs |= _console(state.handles["server_id"])
    return outputs


def _console(server_id: str) -> dict[str, Any]:
    return {"console_hint": f"openstack console url show {server_id}"}


def condition(state: ResourceState, seen: VmObserved) -> tuple[Reason, str, bool] | None:
    """Return what is wrong with a living VM, in words, and whether it is lost; None: nothing."""
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


def power_changed(operation: Operation, seen: VmObserved) -> bool:
    """Tell whether the server is as the operation wants it, and at rest."""
    wanted = "SHUTOFF" if operation.verb is Verb.STOP else "ACTIVE"
    return seen.server_status == wanted and seen.task_state is None
