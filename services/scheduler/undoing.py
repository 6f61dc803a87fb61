"""The way back: over exactly the steps that began, then to where the ending leads."""

from __future__ import annotations

import msgspec

from services.scheduler import operations
from services.scheduler.definitions import StepDefinition
from services.scheduler.state import Ending, Goal
from services.scheduler.walk import Walk
from shared.contract.problems import Problem, Reason
from shared.contract.resources import TERMINAL_PHASES, Lease, Phase, StepState

_STRENGTH = {Goal.REPLACE: 0, Goal.REQUEUE: 0, Goal.FAIL: 1, Goal.DELETE: 2}


def end(walk: Walk, ending: Ending) -> None:
    """Start undoing, or make a stronger goal of an undo under way: delete wins over all."""
    current = walk.state.ending
    if walk.state.phase is Phase.DELETED:
        return
    if walk.state.phase is Phase.FAILED and ending.goal is not Goal.DELETE:
        return
    if current is not None and _STRENGTH[current.goal] >= _STRENGTH[ending.goal]:
        if ending.force and not current.force:
            walk.change(ending=msgspec.structs.replace(current, force=True))
            _order_again(walk)
        return
    walk.change(ending=ending)
    if ending.goal is Goal.DELETE or walk.state.phase is Phase.ACTIVE:
        walk.cancel_timer("lease")
    operations.abandon(walk)
    if walk.state.phase not in TERMINAL_PHASES:
        message = ending.problem.detail if ending.problem else None
        walk.change_status(phase=Phase.DEPROVISIONING, queue=None)
        walk.explain(ending.reason, message)
    go_back(walk)
    if ending.force:
        _order_again(walk)


def _order_again(walk: Walk) -> None:
    """What waits for those who still use it is ordered at once, now without regard to them."""
    for step in walk.wanted():
        waits = walk.progress(step.name).answered
        if walk.state.step(step.name).state is StepState.UNDOING and waits:
            walk.issue_step(step, undo=True)


def fail(walk: Walk, reason: Reason, detail: str, retryable: bool) -> None:
    """End in failed, with a problem of our own words."""
    title = reason.value.replace("_", " ").capitalize()
    problem = Problem(title=title, detail=detail, reason=reason, retryable=retryable)
    end(walk, Ending(goal=Goal.FAIL, reason=reason, problem=problem))


def go_back(walk: Walk) -> None:
    """Undo each step that nothing stands on any more and whose command has answered."""
    wanted = walk.wanted()
    held = {step.name for step in wanted if _may_hold_something(walk, step)}
    for step in wanted:
        followed = any(step.name in other.after for other in wanted if other.name in held)
        if step.name not in held or followed or not walk.progress(step.name).answered:
            continue
        if walk.state.step(step.name).state is not StepState.UNDOING:
            walk.cancel_timer(f"overdue/{step.name}")
            walk.issue_step(step, undo=True)
    if not held:
        _conclude(walk)


def _wait_for_left_behind(walk: Walk, ending: Ending) -> None:
    """It doesn't end before what it may have left on other clouds is gone too."""
    clouds = ", ".join(one.cloud for one in walk.state.left_behind)
    walk.explain(ending.reason, f"Waits until what may have been begun on {clouds} is removed.")


def _may_hold_something(walk: Walk, step: StepDefinition) -> bool:
    began = walk.progress(step.name).began
    return began and walk.state.step(step.name).state is not StepState.UNDONE


def _conclude(walk: Walk) -> None:
    ending = walk.state.ending
    if ending is None:
        raise RuntimeError("nothing is being undone")
    if ending.goal in {Goal.REQUEUE, Goal.REPLACE}:
        _wait_again(walk, ending)
        return
    if walk.state.left_behind:
        _wait_for_left_behind(walk, ending)
        return
    walk.clear_timers()
    phase = Phase.DELETED if ending.goal is Goal.DELETE else Phase.FAILED
    walk.change(sealed={}, sealed_before=())
    walk.change_status(phase=phase, queue=None, error=ending.problem)
    message = ending.problem.detail if ending.problem else None
    walk.explain(ending.reason, message)
    _end_lease(walk)


def _end_lease(walk: Walk) -> None:
    lease = walk.state.resource.lease
    if lease is not None and lease.expires_at is not None:
        walk.change_resource(lease=Lease(ttl=lease.ttl))


def _wait_again(walk: Walk, ending: Ending) -> None:
    """Back into the queue, for another cloud or until the quota of one has room again."""
    if ending.goal is Goal.REPLACE:
        problem = ending.problem or Problem(title="Refused", reason=ending.reason)
        walk.change(refusals={**walk.state.refusals, walk.state.place: problem})
    walk.change(ending=None, handles={})
    walk.reset_steps()
    walk.change_status(phase=Phase.WAITING, placement=None, outputs={})
    walk.explain(ending.reason, ending.problem.detail if ending.problem else None)
