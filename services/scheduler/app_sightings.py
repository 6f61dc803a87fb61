"""What an observation of an app means: rolled out, held up, given up, degraded, gone. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from services.scheduler.definitions import Sighting
from services.scheduler.state import ResourceState
from shared.contract.messages import AppObserved, AppPart
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Operation, OperationState

#: Handles: what the making still waits for, in words; since when the end of it is waited for, by
#: the first look that was answered; and since when none was.
_SO_FAR, _GOING_SINCE, _SILENT_SINCE = "so_far", "going_since", "silent_since"
#: So long a namespace may take to go, and so long an API server may be silent without a break; then
#: the app ends all the same, and it is said what it left.
GOING_AT_MOST, UNANSWERED_AT_MOST = timedelta(seconds=300), timedelta(seconds=120)
#: So soon a namespace shows that it is going.
BEGUN_WITHIN = timedelta(seconds=10)
#: How many parts are named in words, and how many are shown, and addresses.
_NAMED, _SHOWN = 5, 100


def app_made(state: ResourceState, seen: AppObserved) -> Sighting:
    """All parts must be there and rolled out; what the cluster has given up has failed."""
    del state
    if (words := _lost(seen)) is not None:
        problem = Problem(title="App disappeared", detail=words, retryable=True)
        return Sighting(failed=(Reason.REMOVED_EXTERNALLY, problem))
    if seen.unanswered is not None or seen.going is not None:
        return _wait(Reason.CLUSTER_NOT_READY, seen.unanswered or seen.going or "")
    if (given_up := _given_up(seen)) is not None:
        return Sighting(failed=given_up)
    open_ones = [part for part in seen.parts if not part.done]
    if open_ones:
        return _wait(_reason(open_ones), _words(open_ones))
    return Sighting(done=True, outputs=_shown(seen, degraded=False), handles={_SO_FAR: ""})


def _wait(reason: Reason, words: str) -> Sighting:
    return Sighting(unproven=True, why=(reason, words), handles={_SO_FAR: words})


def _lost(seen: AppObserved) -> str | None:
    if seen.cluster_gone:
        return "Its cluster no longer exists in Magnum."
    return "Its namespace no longer exists in the cluster." if seen.gone else None


def _given_up(seen: AppObserved) -> tuple[Reason, Problem] | None:
    failed = [part for part in seen.parts if part.failed]
    if not failed:
        return None
    reason = _reason(failed)
    problem = Problem(title="Roll-out failed", detail=_words(failed), reason=reason, retryable=True)
    return reason, problem


def _reason(parts: list[AppPart]) -> Reason:
    """Of several reasons the one that says most: that it isn't ready yet says least."""
    known = [Reason(part.reason) for part in parts if part.reason in set(Reason)]
    telling = [one for one in known if one is not Reason.APP_NOT_READY]
    return (telling or known or [Reason.APP_NOT_READY])[0]


def _words(parts: list[AppPart]) -> str:
    words = [part.words or f"{part.kind} {part.name} is not ready." for part in parts[:_NAMED]]
    more = len(parts) - _NAMED
    return " ".join([*words, f"And {more} more."] if more > 0 else words)


def app_undone(state: ResourceState, seen: AppObserved) -> Sighting:
    """Gone is undone; what does not go within its time is left, and named.

    Silence and slowness have a time each: one look that nobody answers says nothing of a namespace
    that is going well. Where nothing is going, the order has not got there, and is given again:
    after a silence at once, else when its objects have had a moment to begin.
    """
    if seen.gone or seen.cluster_gone:
        return Sighting(done=True)
    words = seen.unanswered or seen.going or f"The namespace {state.resource.id} is still there."
    which, at_most = _GOING_SINCE, GOING_AT_MOST
    if seen.unanswered is not None:
        which, at_most = _SILENT_SINCE, UNANSWERED_AT_MOST
    since = state.handles.get(which) or seen.observed_at.isoformat()
    waited = seen.observed_at - datetime.fromisoformat(since)
    if waited >= at_most:
        return Sighting(done=True, outputs={"left_behind": [words]})
    handles = {which: since} if seen.unanswered is not None else {which: since, _SILENT_SINCE: ""}
    begun = state.handles.get(_SILENT_SINCE) or waited >= BEGUN_WITHIN
    if begun and seen.unanswered is None and seen.going is None:
        problem = Problem(title="Still there", detail=words, reason=Reason.CLUSTER_NOT_READY)
        return Sighting(again=problem, handles=handles)
    return Sighting(unproven=True, handles=handles)


def waits_for(state: ResourceState) -> str | None:
    """Say what the making waited for when its time was over."""
    return state.handles.get(_SO_FAR) or None


def outputs_of(state: ResourceState, seen: AppObserved) -> dict[str, Any]:
    """Return what an app that is well shows of itself."""
    del state
    return _shown(seen, degraded=False)


def bad_outputs(state: ResourceState, seen: AppObserved) -> dict[str, Any]:
    """Return what a degraded one shows; its parts are those of before while nobody answers."""
    del state
    return {"degraded": True} if seen.unanswered is not None else _shown(seen, degraded=True)


def _shown(seen: AppObserved, *, degraded: bool) -> dict[str, Any]:
    parts = [
        {"kind": part.kind, "name": part.name, "ready": part.done} for part in seen.parts[:_SHOWN]
    ]
    addresses = sorted({one for part in seen.parts for one in part.addresses})[:_SHOWN]
    return {"addresses": addresses, "parts": parts, "degraded": degraded}


def condition(state: ResourceState, seen: AppObserved) -> tuple[Reason, str, bool] | None:
    """Return what is wrong with a living app, in words, and whether it is lost; None: nothing.

    While it is being changed, its parts only have to do their work; else also what the cluster has
    given up is wrong, although the pods of before may still be there.
    """
    if (words := _lost(seen)) is not None:
        return Reason.REMOVED_EXTERNALLY, words, True
    if (words := seen.unanswered or seen.going) is not None:
        return Reason.APP_DEGRADED, words, False
    changing = any(one.state is OperationState.RUNNING for one in state.resource.status.operations)
    bad = [one for one in seen.parts if not one.available or (one.failed and not changing)]
    return (Reason.APP_DEGRADED, _words(bad), False) if bad else None


def changed(operation: Operation, seen: AppObserved) -> bool:
    """Tell whether all of the app is as it was last asked to be."""
    del operation
    there = not (seen.gone or seen.cluster_gone or seen.unanswered or seen.going)
    return there and all(part.done for part in seen.parts)


def change_failed(operation: Operation, seen: AppObserved) -> Problem | None:
    """Say why the cluster has given up the roll-out; None: it hasn't."""
    del operation
    given_up = _given_up(seen)
    return None if given_up is None else given_up[1]
