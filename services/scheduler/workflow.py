"""The workflow of every kind, as a pure function: (state, event, now) → decision.

Making walks the steps' graph forward, side by side where nothing stands between; undoing walks
back over exactly the steps that began. A step whose command has not been answered is never
undone or tried again before it has answered or can't start any more (DESIGN §5.2). Every path
ends in active, failed or deleted.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from services.scheduler import operations
from services.scheduler.definitions import StepDefinition, WorkflowDefinition
from services.scheduler.state import Decision, Ending, Goal, ResourceState
from services.scheduler.walk import Walk, reason_of
from shared.contract.messages import CommandFailed, Message
from shared.contract.problems import Problem, Reason
from shared.contract.resources import (
    TERMINAL_PHASES,
    Lease,
    Phase,
    Placement,
    Queue,
    Step,
    StepState,
)

#: How long a request that the cloud's own quota refused waits, at the least and at the most.
REQUEUE_SECONDS = (5, 10, 20, 40, 60)
#: What the cloud has none of now may be had when something ends, unless it says never.
_MAY_BE_WAITED_FOR = frozenset({Reason.QUOTA_EXCEEDED, Reason.ADDRESSES_EXHAUSTED})
_UNFINISHED = frozenset({StepState.RUNNING, StepState.RETRYING})


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
    walk.change(not_before=None, alternatives=alternatives)
    walk.change_status(
        phase=Phase.PROVISIONING, placement=placement, queue=None, reason=None, message=None
    )
    _advance(walk)
    return walk.decision()


def hold(
    state: ResourceState,
    definition: WorkflowDefinition,
    now: datetime,
    reason: Reason,
    message: str,
    position: int,
) -> Decision:
    """It can't start yet: say why, and its place in the queue."""
    walk = Walk(state, definition, now)
    walk.change_status(phase=Phase.WAITING, queue=Queue(position=position))
    walk.explain(reason, message)
    return walk.decision()


def end(
    state: ResourceState, definition: WorkflowDefinition, now: datetime, ending: Ending
) -> Decision:
    """Undo the resource, for good (delete, lease, deadline) or because it can't be had."""
    walk = Walk(state, definition, now)
    _end(walk, ending)
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
    """An answer to a command. One of an older attempt, or a second one, changes nothing."""
    walk = Walk(state, definition, now)
    progress = walk.progress(step)
    if progress.attempt == attempt and not progress.answered:
        if operations.is_operation(step):
            operations.absorb(walk, step, event)
        elif isinstance(event, CommandFailed):
            _failed(walk, definition.step(step), event.problem, retryable=event.retryable)
        else:
            _succeeded(walk, definition.step(step), event)
    return walk.decision()


def observe(
    state: ResourceState, definition: WorkflowDefinition, now: datetime, seen: Message
) -> Decision:
    """What the backend shows of the resource ends open waits, and keeps a living one's truth."""
    walk = Walk(state, definition, now)
    for step in walk.wanted():
        _see_step(walk, step, seen)
    operations.observe(walk, seen)
    if walk.state.phase is Phase.ACTIVE and walk.state.ending is None:
        _see_living(walk, seen)
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
    state: ResourceState, definition: WorkflowDefinition, now: datetime, timer: str
) -> Decision:
    """A timer is due: retry/…, expiry/…, overdue/… of a step or operation; deadline; lease."""
    walk = Walk(state, definition, now)
    what, _, name = timer.partition("/")
    if what == "lease":
        _lease_ends(walk)
    elif what == "deadline":
        _deadline_passes(walk)
    elif operations.is_operation(name):
        operations.ring(walk, what, name)
    elif what == "retry":
        _retry(walk, definition.step(name))
    elif what == "expiry":
        _expire(walk, definition.step(name))
    elif what == "overdue":
        _overdue(walk, definition.step(name))
    return walk.decision()


def _lease_ends(walk: Walk) -> None:
    lease = walk.state.resource.lease
    if lease is None or lease.expires_at is None or lease.expires_at > walk.now:
        return
    _end(walk, Ending(goal=Goal.DELETE, reason=Reason.LEASE_EXPIRED))


def _deadline_passes(walk: Walk) -> None:
    if walk.state.phase is not Phase.ACTIVE and walk.state.phase not in TERMINAL_PHASES:
        seconds = walk.state.resource.deadline
        _fail(
            walk, Reason.DEADLINE_EXCEEDED, f"Not active within {seconds} s of the request.", True
        )


def _retry(walk: Walk, step: StepDefinition) -> None:
    state = walk.state.step(step.name).state
    if state is StepState.UNDOING and walk.progress(step.name).answered:
        walk.issue_step(step, undo=True)
    elif state is StepState.RETRYING:
        walk.issue_step(step, undo=False)


def _expire(walk: Walk, step: StepDefinition) -> None:
    """No answer, and none can come any more: the outcome is unknown, the next attempt looks."""
    if walk.progress(step.name).answered:
        return
    problem = Problem(
        title="No answer",
        detail=f"No answer from {step.worker} to attempt {walk.progress(step.name).attempt}.",
        reason=Reason.BACKEND_TIMEOUT,
        retryable=True,
    )
    _failed(walk, step, problem, retryable=True)


def _overdue(walk: Walk, step: StepDefinition) -> None:
    if walk.state.step(step.name).state in _UNFINISHED and walk.state.ending is None:
        detail = f"Step {step.name} did not end within {step.patience:.0f} s."
        _fail(walk, Reason.BACKEND_TIMEOUT, detail, retryable=True)


# ---- steps


def _succeeded(walk: Walk, step: StepDefinition, event: Message) -> None:
    undoing = walk.state.step(step.name).state is StepState.UNDOING
    absorb_event = (step.undone_by if undoing else step.made_by).get(type(event))
    if absorb_event is None:
        return
    absorbed = absorb_event(event)
    walk.answered(step.name, accepted=not absorbed.done)
    walk.keep(absorbed.handles, absorbed.outputs)
    _clear_passing_reason(walk)
    if absorbed.done:
        _finish(walk, step, StepState.UNDONE if undoing else StepState.DONE)
    _advance(walk)


def _failed(walk: Walk, step: StepDefinition, problem: Problem, *, retryable: bool) -> None:
    state = walk.state.step(step.name).state
    walk.change_step(step.name, error=problem)
    if state is StepState.UNDOING:
        walk.back_off(step.name, problem)  # a delete never gives up
    elif walk.state.ending is not None:
        walk.answered(step.name)
        walk.change_step(step.name, state=StepState.FAILED)
        _advance(walk)
    elif retryable:
        walk.back_off(step.name, problem)
        walk.change_step(step.name, state=StepState.RETRYING)
    else:
        walk.answered(step.name)
        _give_up(walk, step, reason_of(problem, Reason.BACKEND_REFUSED), problem)


def _give_up(walk: Walk, step: StepDefinition, reason: Reason, problem: Problem) -> None:
    """The step can't be had here: undo, then wait for quota, go elsewhere, or fail."""
    walk.change_step(step.name, state=StepState.FAILED, finished_at=walk.now, error=problem)
    goal = Goal.FAIL
    if reason in _MAY_BE_WAITED_FOR and problem.retryable:
        goal = Goal.REQUEUE
    elif reason is Reason.NO_VALID_HOST and walk.state.alternatives:
        goal = Goal.REPLACE
    _end(walk, Ending(goal=goal, reason=reason, problem=problem))


def _see_step(walk: Walk, step: StepDefinition, seen: Message) -> None:
    progress = walk.progress(step.name)
    observed_at = getattr(seen, "observed_at", walk.now)
    if not progress.accepted or (progress.accepted_at or walk.now) > observed_at:
        return
    undoing = walk.state.step(step.name).state is StepState.UNDOING
    see = step.sees_undone if undoing else step.sees_made
    if see is None:
        return
    sighting = see(walk.state, seen)
    _clear_passing_reason(walk)
    if sighting.failed is not None:
        walk.answered(step.name)
        _give_up(walk, step, *sighting.failed)
    elif sighting.done:
        walk.answered(step.name)
        walk.keep({}, sighting.outputs)
        _finish(walk, step, StepState.UNDONE if undoing else StepState.DONE)
        _advance(walk)


def _finish(walk: Walk, step: StepDefinition, state: StepState) -> None:
    walk.change_step(step.name, state=state, finished_at=walk.now, error=None)
    walk.cancel_timer(f"overdue/{step.name}")


def _clear_passing_reason(walk: Walk) -> None:
    """What held the resource up is over, unless another step is still being held up."""
    retrying = any(walk.progress(step.name).failures for step in walk.wanted())
    if walk.state.phase in {Phase.PROVISIONING, Phase.DEPROVISIONING} and not retrying:
        ending = walk.state.ending
        walk.explain(ending.reason if ending else None)


def _see_living(walk: Walk, seen: Message) -> None:
    definition = walk.definition
    condition = definition.condition(walk.state, seen)
    if condition is None:
        walk.explain(None)
        walk.keep({}, definition.outputs(walk.state, seen))
        return
    reason, message, lost = condition
    if lost:
        _fail(walk, reason, message, retryable=True)
    else:
        walk.explain(reason, message)


# ---- forward, backward, and the ends


def _advance(walk: Walk) -> None:
    if walk.state.ending is not None:
        _go_back(walk)
    elif walk.state.phase is Phase.PROVISIONING:
        _go_forward(walk)


def _go_forward(walk: Walk) -> None:
    done = {s.name for s in walk.state.resource.status.steps if s.state is StepState.DONE}
    for step in walk.wanted():
        state = walk.state.step(step.name).state
        if state is StepState.PENDING and done.issuperset(step.after):
            walk.issue_step(step, undo=False)
    if all(step.name in done for step in walk.wanted()):
        _become_active(walk)


def _become_active(walk: Walk) -> None:
    walk.clear_timers()
    walk.change_status(phase=Phase.ACTIVE, reason=None, message=None)
    lease = walk.state.resource.lease
    if lease is not None:
        walk.set_lease(lease.ttl)


def _go_back(walk: Walk) -> None:
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


def _may_hold_something(walk: Walk, step: StepDefinition) -> bool:
    began = walk.progress(step.name).began
    return began and walk.state.step(step.name).state is not StepState.UNDONE


def _fail(walk: Walk, reason: Reason, detail: str, retryable: bool) -> None:
    title = reason.value.replace("_", " ").capitalize()
    problem = Problem(title=title, detail=detail, reason=reason, retryable=retryable)
    _end(walk, Ending(goal=Goal.FAIL, reason=reason, problem=problem))


_STRENGTH = {Goal.REPLACE: 0, Goal.REQUEUE: 0, Goal.FAIL: 1, Goal.DELETE: 2}


def _end(walk: Walk, ending: Ending) -> None:
    """Start undoing, or make a stronger goal of an undo under way: delete wins over all."""
    current = walk.state.ending
    if walk.state.phase is Phase.DELETED:
        return
    if walk.state.phase is Phase.FAILED and ending.goal is not Goal.DELETE:
        return
    if current is not None and _STRENGTH[current.goal] >= _STRENGTH[ending.goal]:
        return
    walk.change(ending=ending)
    if ending.goal is Goal.DELETE or walk.state.phase is Phase.ACTIVE:
        walk.cancel_timer("lease")
    operations.abandon(walk)
    if walk.state.phase not in TERMINAL_PHASES:
        message = ending.problem.detail if ending.problem else None
        walk.change_status(phase=Phase.DEPROVISIONING, queue=None)
        walk.explain(ending.reason, message)
    _go_back(walk)


def _conclude(walk: Walk) -> None:
    ending = walk.state.ending
    if ending is None:
        raise RuntimeError("nothing is being undone")
    if ending.goal in {Goal.REQUEUE, Goal.REPLACE}:
        _wait_again(walk, ending)
        return
    walk.clear_timers()
    phase = Phase.DELETED if ending.goal is Goal.DELETE else Phase.FAILED
    walk.change(sealed={}, not_before=None)
    walk.change_status(phase=phase, queue=None, error=ending.problem)
    message = ending.problem.detail if ending.problem else None
    walk.explain(ending.reason, message)
    _end_lease(walk)


def _end_lease(walk: Walk) -> None:
    lease = walk.state.resource.lease
    if lease is not None and lease.expires_at is not None:
        walk.change_resource(lease=Lease(ttl=lease.ttl))


def _wait_again(walk: Walk, ending: Ending) -> None:
    """Back into the queue: for quota after a while, or at once for another cloud."""
    if ending.goal is Goal.REPLACE:
        walk.change(excluded=(*walk.state.excluded, walk.state.cloud))
        not_before = None
    else:
        wait = REQUEUE_SECONDS[min(walk.state.requeues, len(REQUEUE_SECONDS) - 1)]
        not_before = walk.now + timedelta(seconds=wait)
        walk.change(requeues=walk.state.requeues + 1)
    walk.change(ending=None, handles={}, not_before=not_before)
    walk.reset_steps()
    walk.change_status(phase=Phase.WAITING, placement=None, outputs={})
    walk.explain(ending.reason, ending.problem.detail if ending.problem else None)


def no_place_left(
    state: ResourceState, definition: WorkflowDefinition, now: datetime, problem: Problem
) -> Decision:
    """Placement has nowhere to go: the last cloud's own words are the reason."""
    walk = Walk(state, definition, now)
    reason = reason_of(problem, Reason.NO_CLOUD)
    _end(walk, Ending(goal=Goal.FAIL, reason=reason, problem=problem))
    return walk.decision()
