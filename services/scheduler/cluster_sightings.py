"""What an observation of a cluster means: made, ready, degraded, resized, gone. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from services.scheduler.definitions import Sighting
from services.scheduler.state import Progress, ResourceState
from shared.contract.kinds import is_version
from shared.contract.messages import ClusterObserved, KubernetesNode
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Operation, OperationState

#: Handles: what the making still waits for, in words; that Magnum has shown the cluster once; and
#: how many orders it has lost.
_SO_FAR, _SHOWN, _LOST = "so_far", "shown", "lost_orders"
#: The only step, and so long Magnum may take to show what it has accepted, the first time.
STEP, SHOWN_WITHIN = "cluster", timedelta(seconds=90)
#: How many nodes are named in words.
_NAMED = 5


def cluster_made(state: ResourceState, seen: ClusterObserved) -> Sighting:
    """Complete counts only with the API server's own word; failed is Magnum's last word."""
    if seen.gone:
        return _missing(state, seen)
    if (seen.cluster_status or "").endswith("_FAILED"):
        return Sighting(failed=(Reason.CLUSTER_FAILED, _failure(seen)))
    if not _complete(seen):
        so_far = f"Magnum says {seen.cluster_status}."
        return Sighting(unproven=True, handles={_SHOWN: "yes", _SO_FAR: so_far})
    wanted = state.resource.spec["version"]
    if seen.version is not None and not is_version(seen.version, wanted):
        detail = f"The API server is {seen.version}, and not {wanted}."
        problem = Problem(title="Another version", detail=detail, reason=Reason.CLUSTER_FAILED)
        return Sighting(failed=(Reason.CLUSTER_FAILED, problem))
    words = not_ready(seen, state.resource.spec["node_count"])
    if words is None:
        # Of two that one command has made, delivered twice, the other may have been told of.
        this = {"cluster_id": seen.cluster_id} if seen.cluster_id else {}
        return Sighting(
            done=True, outputs={**outputs_of(state, seen), **this}, handles={_SO_FAR: "", **this}
        )
    return Sighting(
        unproven=True,
        why=(Reason.CLUSTER_NOT_READY, words),
        handles={_SHOWN: "yes", _SO_FAR: words},
        outputs={} if seen.unanswered is not None else _checks(seen),
    )


def _missing(state: ResourceState, seen: ClusterObserved) -> Sighting:
    """Magnum shows a cluster some time after it has accepted it: only what was shown is lost.

    What it never shows it has forgotten: its API accepts before anything is written, and a
    conductor that dies over it takes it along. Then it is ordered again, which looks first.
    """
    if not state.handles.get(_SHOWN):
        return _not_shown(state, seen)
    detail = "The cluster disappeared from Magnum while it was being made."
    problem = Problem(title="Cluster disappeared", detail=detail, retryable=True)
    return Sighting(failed=(Reason.REMOVED_EXTERNALLY, problem))


def _not_shown(state: ResourceState, seen: ClusterObserved) -> Sighting:
    """Each time it is waited for twice as long: one that is away finds all orders together."""
    lost = int(state.handles.get(_LOST) or 0)
    within = SHOWN_WITHIN * 2**lost
    accepted_at = state.progress.get(STEP, Progress()).accepted_at or seen.observed_at
    if seen.observed_at - accepted_at < within:
        return Sighting(unproven=True, handles={_SO_FAR: "Magnum does not show it yet."})
    detail = f"Magnum has accepted it, and not shown it for {within.total_seconds():.0f} s."
    problem = Problem(
        title="Cluster not shown", detail=detail, reason=Reason.BACKEND_TIMEOUT, retryable=True
    )
    return Sighting(again=problem, handles={_SO_FAR: detail, _LOST: str(lost + 1)})


#: Handles: since when draining is on its way, and since when nobody has answered to it.
_DRAINING, _SILENT = "draining_since", "silent_since"


def undo_held_up(state: ResourceState, problem: Problem, now: datetime) -> dict[str, str]:
    """Keep since when draining itself holds the undo up; what else does is no reason to hurry.

    An outage of anything else ends a silence: what came before says nothing of what comes after.
    """
    if problem.reason == Reason.IN_USE:
        return {_DRAINING: state.handles.get(_DRAINING) or now.isoformat(), _SILENT: ""}
    if problem.reason == Reason.CLUSTER_NOT_READY:
        return {_SILENT: state.handles.get(_SILENT) or now.isoformat()}
    return {_SILENT: ""}


def held_up_since(state: ResourceState) -> tuple[datetime | None, datetime | None]:
    """Return since when draining is on its way, and since when nobody has answered to it."""
    draining, silent = (state.handles.get(name) or None for name in (_DRAINING, _SILENT))
    return draining and datetime.fromisoformat(draining), silent and datetime.fromisoformat(silent)


#: What is kept of draining once the cluster goes: what was left has been told.
TOLD = {_DRAINING: "", _SILENT: ""}


def cluster_undone(state: ResourceState, seen: ClusterObserved) -> Sighting:
    """Gone is undone; what Magnum could not delete is ordered again."""
    del state
    if seen.cluster_status == "DELETE_FAILED" and not seen.gone:
        return Sighting(again=_failure(seen))
    return Sighting(done=seen.gone, unproven=not seen.gone)


def _failure(seen: ClusterObserved) -> Problem:
    return Problem(
        title="Cluster failed",
        detail=seen.status_reason or f"Magnum says {seen.cluster_status} and gives no reason.",
        reason=Reason.CLUSTER_FAILED,
        retryable=True,
    )


def _complete(seen: ClusterObserved) -> bool:
    return (seen.cluster_status or "").endswith("_COMPLETE")


def not_ready(seen: ClusterObserved, count: int) -> str | None:
    """Say what is missing of a complete cluster of so many workers; None: nothing."""
    if seen.unanswered is not None:
        return seen.unanswered
    if seen.nodes_ready < count:
        others = [_words(node) for node in seen.nodes if not node.ready][:_NAMED]
        found = f"{seen.nodes_ready} of {count} nodes are Ready"
        return found + "".join(f"; {one}" for one in others) + "."
    failing = [f"{one.name}: {one.reason}" for one in seen.checks if not one.passed]
    return f"Not all checks have passed: {'; '.join(failing)}." if failing else None


def _words(node: KubernetesNode) -> str:
    return f"{node.name}: {node.reason or 'NotReady'}"


def waits_for(state: ResourceState) -> str | None:
    """Say what the making waited for when its time was over."""
    return state.handles.get(_SO_FAR) or None


def outputs_of(state: ResourceState, seen: ClusterObserved) -> dict[str, Any]:
    """Return what a cluster that is well shows of itself."""
    del state
    return _shown(seen, degraded=False)


def bad_outputs(state: ResourceState, seen: ClusterObserved) -> dict[str, Any]:
    """Return what a degraded one shows; its nodes are those of before while nobody answers."""
    del state
    return {"degraded": True} if seen.unanswered is not None else _shown(seen, degraded=True)


def _shown(seen: ClusterObserved, *, degraded: bool) -> dict[str, Any]:
    nodes = [
        {"name": node.name, "address": node.address, "ready": node.ready} for node in seen.nodes
    ]
    return {
        "api_address": seen.api_address,
        "kubernetes_version": seen.version,
        "nodes": nodes,
        "nodes_ready": seen.nodes_ready,
        "nodes_total": seen.nodes_total,
        "degraded": degraded,
        **_checks(seen),
    }


def _checks(seen: ClusterObserved) -> dict[str, Any]:
    """Return what came of the checks that the template promises, one by one."""
    shown = [{"name": one.name, "passed": one.passed, "message": one.reason} for one in seen.checks]
    return {"checks": shown} if shown else {}


def condition(state: ResourceState, seen: ClusterObserved) -> tuple[Reason, str, bool] | None:
    """Return what is wrong with a living cluster, in words, and whether it is lost; None: nothing.

    While it is being resized, the smaller of both numbers is enough.
    """
    if seen.gone:
        return Reason.REMOVED_EXTERNALLY, "The cluster no longer exists in Magnum.", True
    words = not_ready(seen, min(_wanted(state)))
    return None if words is None else (Reason.CLUSTER_DEGRADED, words, False)


def _wanted(state: ResourceState) -> list[int]:
    resource = state.resource
    running = [
        one.node_count
        for one in resource.status.operations
        if one.state is OperationState.RUNNING and one.node_count is not None
    ]
    return [resource.spec["node_count"], *running]


def may_pass(seen: ClusterObserved) -> bool:
    """One look that nobody answered is no trouble yet: an API server may be busy for a moment."""
    return seen.unanswered is not None


def resized(operation: Operation, seen: ClusterObserved) -> bool:
    """Tell whether the cluster has as many workers as it was to have, neither more nor fewer.

    Where no cloud's controller removes them, nodes that went are shown for long, and not Ready.
    """
    return (
        _complete(seen)
        and seen.unanswered is None
        and seen.node_count == seen.nodes_ready == operation.node_count
    )


def resize_failed(operation: Operation, seen: ClusterObserved) -> Problem | None:
    """Magnum gave it up: it is ordered again, for as long as an operation may take."""
    del operation
    return _failure(seen) if seen.cluster_status == "UPDATE_FAILED" else None
