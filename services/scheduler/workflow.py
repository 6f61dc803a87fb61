"""The workflow of every kind, as a pure function: (state, event, now) → decision.

Making walks the steps' graph forward, side by side where nothing stands between; undoing walks
back over exactly the steps that began. A step whose command has not been answered is never
undone or tried again before it has answered or can't start any more (``not_after``). Every path
ends in active, failed or deleted.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from services.scheduler import growing, leaving, making, operations, steps, undoing
from services.scheduler.definitions import WorkflowDefinition
from services.scheduler.sight import is_current
from services.scheduler.state import Decision, Ending, Goal, ResourceState, Seen
from services.scheduler.walk import Walk, reason_of
from shared.contract.messages import CommandFailed, Message
from shared.contract.problems import Problem, Reason
from shared.contract.resources import (
    TERMINAL_PHASES,
    Phase,
    Placement,
    Step,
    StepState,
)

# ---- what users and the scheduler itself decide


def accept(state: ResourceState, definition: WorkflowDefinition, now: datetime) -> Decision:
    """A new resource: its steps are shown as pending, its deadline starts to run."""
    walk = Walk(state, definition, now)
    steps = tuple(
        Step(name=step.name, worker=step.worker, state=StepState.PENDING) for step in walk.wanted()
    )
    walk.change_status(steps=steps)
    if state.resource.deadline is not None:
        deadline = state.resource.created_at + timedelta(seconds=state.resource.deadline)
        walk.set_timer("deadline", deadline)
    return walk.decision()


def admit(
    state: ResourceState,
    definition: WorkflowDefinition,
    now: datetime,
    placement: Placement,
    alternatives: tuple[str, ...] = (),
) -> Decision:
    """Quota and capacity are there: start. ``alternatives`` are clouds to try if this one can't."""
    walk = Walk(state, definition, now)
    walk.change(alternatives=alternatives)
    walk.change_status(
        phase=Phase.PROVISIONING, placement=placement, queue=None, reason=None, message=None
    )
    walk.reset_steps()  # which of them are wanted may depend on the place
    making.go_forward(walk)
    return walk.decision()


def end(
    state: ResourceState, definition: WorkflowDefinition, now: datetime, ending: Ending
) -> Decision:
    """Undo the resource, for good (delete, lease, deadline) or because it can't be had."""
    walk = Walk(state, definition, now)
    undoing.end(walk, ending)
    return walk.decision()


# ---- what workers say


def absorb(
    state: ResourceState,
    definition: WorkflowDefinition,
    now: datetime,
    step: str,
    attempt: int,
    event: Message,
) -> Decision:
    """An answer to a command. One of an older attempt, or a second one, decides nothing."""
    walk = Walk(state, definition, now)
    progress = walk.progress(step)
    if progress.attempt == attempt and not progress.answered:
        if operations.is_operation(step):
            operations.absorb(walk, step, event)
        elif leaving.is_left_behind(step):
            _absorb_left_behind(walk, step, event)
        elif isinstance(event, CommandFailed):
            steps.failed(
                walk,
                definition.step(step),
                event.problem,
                retryable=event.retryable,
                unknown=event.unknown,
                wish=event.retry_after,
            )
        else:
            steps.succeeded(walk, definition.step(step), event)
    elif definition.knows(step):  # else of an operation that ended, or of nothing there ever was
        steps.answered_again(walk, definition.step(step), event)
    return walk.decision()


def _absorb_left_behind(walk: Walk, step: str, event: Message) -> None:
    leaving.absorb(walk, step, event)
    if walk.state.ending is not None and not walk.state.left_behind:
        undoing.go_back(walk)


def observe(
    state: ResourceState, definition: WorkflowDefinition, now: datetime, seen: Message
) -> Decision:
    """What the backend shows of the resource ends open waits, and keeps a living one's truth."""
    walk = Walk(state, definition, now)
    for step in walk.wanted():
        steps.see(walk, step, seen)
    operations.observe(walk, seen)
    if walk.state.ending is None and is_current(walk, seen):
        if walk.state.phase is Phase.ACTIVE:
            _see_living(walk, seen)
        elif walk.state.phase is Phase.PROVISIONING:
            _mend(walk, seen)
    return walk.decision()


def unreachable(
    state: ResourceState, definition: WorkflowDefinition, now: datetime, problem: Problem
) -> Decision:
    """The backend could not be asked: the phase stays, the reason says why nothing moves."""
    walk = Walk(state, definition, now)
    if any(one.accepted for one in state.progress.values()):
        walk.explain(reason_of(problem, Reason.BACKEND_UNAVAILABLE), problem.detail)
    return walk.decision()


# ---- what time brings


def ring(
    state: ResourceState,
    definition: WorkflowDefinition,
    now: datetime,
    timer: str,
    resting: Collection[str] = (),
) -> Decision:
    """A timer is due: retry/…, expiry/…, overdue/… of a step or operation; deadline; lease.

    ``resting`` are the clouds on which nothing is to be begun now.
    """
    walk = Walk(state, definition, now)
    what, _, name = timer.partition("/")
    if what == "lease":
        _lease_ends(walk)
    elif what == "deadline":
        _deadline_passes(walk)
    elif operations.is_operation(name):
        operations.ring(walk, what, name)
    elif leaving.is_left_behind(name):
        leaving.ring(walk, what, name)
    elif what == "retry":
        steps.retry(walk, definition.step(name), resting)
    elif what == "expiry":
        steps.expire(walk, definition.step(name))
    elif what == "overdue":
        steps.overdue(walk, definition.step(name))
    return walk.decision()


def _lease_ends(walk: Walk) -> None:
    lease = walk.state.resource.lease
    if lease is None or lease.expires_at is None:
        return
    if lease.expires_at > walk.now:  # by our clock; the database's, which rang, may be ahead
        walk.set_timer("lease", lease.expires_at)
        return
    undoing.end(walk, Ending(goal=Goal.DELETE, reason=Reason.LEASE_EXPIRED))


def _deadline_passes(walk: Walk) -> None:
    if walk.state.phase is not Phase.ACTIVE and walk.state.phase not in TERMINAL_PHASES:
        words = f"Not active within {walk.state.resource.deadline} s of the request."
        undoing.fail(
            walk, Reason.DEADLINE_EXCEEDED, " ".join([words, *steps.so_far(walk)]), retryable=True
        )


# ---- steps


def _see_living(walk: Walk, seen: Message) -> None:
    definition, before = walk.definition, walk.state.resource
    observed_at = getattr(seen, "observed_at", walk.now)
    by = type(seen).__name__
    last = walk.state.seen.get(by)
    made_at = max(step.finished_at or observed_at for step in before.status.steps)
    if observed_at < max(made_at, last.at if last is not None else made_at):
        return  # what was there before it was made, or shown: observations overtake each other
    condition = definition.condition(walk.state, seen)
    if condition is not None and condition[2]:
        undoing.fail(walk, condition[0], condition[1], retryable=True)
        return
    for step in walk.wanted():
        walk.show_parts(step, seen)
    now = Seen(at=observed_at)
    if condition is not None and definition.may_pass(seen) and _is_news(last):
        walk.change(seen={**walk.state.seen, by: Seen(at=observed_at, doubted=True)})
        return
    if condition is None:
        walk.keep({}, definition.outputs(walk.state, seen))
        walk.change_resource(spec=growing.spec_as_seen(walk.state.resource))
    else:
        walk.keep({}, definition.bad_outputs(walk.state, seen))
        now = Seen(at=observed_at, reason=condition[0], message=condition[1])
    known = {**walk.state.seen, by: now}
    wrong = next((one for one in known.values() if one.reason is not None), now)
    walk.explain(wrong.reason, wrong.message)
    _mend(walk, seen)
    doubted = last is not None and last.doubted
    if walk.state.resource != before or doubted or (last and last.reason) != now.reason:
        walk.change(seen=known)


def _is_news(last: Seen | None) -> bool:
    """Nothing was wrong the last time, not even perhaps."""
    return last is None or (last.reason is None and not last.doubted)


def _mend(walk: Walk, seen: Message) -> None:
    """What a backend has lost of what was made is ordered again, once at a time."""
    name = walk.definition.mended_by(walk.state, seen)
    if name is None or walk.state.step(name).state is not StepState.DONE:
        return
    made_at, step = walk.state.step(name).finished_at, walk.definition.step(name)
    if made_at is None or made_at < getattr(seen, "observed_at", walk.now):
        walk.issue_step(step, undo=False)
        if walk.state.phase is Phase.PROVISIONING:
            walk.set_timer(f"overdue/{name}", walk.now + timedelta(seconds=step.patience))


# ---- forward, backward, and the ends


def no_place_left(
    state: ResourceState, definition: WorkflowDefinition, now: datetime, problem: Problem
) -> Decision:
    """Placement has nowhere to go: the last cloud's own words are the reason."""
    walk = Walk(state, definition, now)
    reason = reason_of(problem, Reason.NO_CLOUD)
    undoing.end(walk, Ending(goal=Goal.FAIL, reason=reason, problem=problem))
    return walk.decision()
