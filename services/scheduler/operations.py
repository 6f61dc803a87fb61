"""Verbs on a living resource: one at a time, in the order they were asked for.

They are recorded in ``status.operations`` and never change the phase.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from services.scheduler import changing_spec
from services.scheduler.definitions import OperationDefinition, WorkflowDefinition
from services.scheduler.growing import (
    OPEN,
    Room,
    bad_size,
    refusal,
    size_asked,
    spec_when_done,
    too_small,
)
from services.scheduler.sight import is_current, is_told
from services.scheduler.state import Decision, ResourceState
from services.scheduler.walk import Walk
from shared.contract.messages import CommandFailed, Message, RequestSubmitted
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Operation, OperationState, Phase, Verb

_PREFIX = "operation-"
#: How many operations of a resource may wait or be under way.
MAX_OPEN = 20
#: How much later it is looked again whether the command of a growth has been answered.
_LONGER = timedelta(seconds=15)


def is_operation(name: str) -> bool:
    """Tell whether an envelope's ``step`` names an operation."""
    return name.startswith(_PREFIX)


def request(
    state: ResourceState,
    definition: WorkflowDefinition,
    now: datetime,
    asked: RequestSubmitted,
    room: Room | None = None,
) -> Decision:
    """Somebody asks for a verb; what can't be done any more is recorded as failed.

    ``room`` is what the tenant's quota has for a growth, which counts from now on.
    """
    walk = Walk(state, definition, now)
    known = {operation.id for operation in state.resource.status.operations}
    operation = Operation(
        id=asked.operation_id or f"{asked.verb.value}-{state.resource.revision}",
        verb=asked.verb,
        size_gib=size_asked(asked),
        node_count=asked.spec.get("node_count"),
        state=OperationState.REQUESTED,
        requested_at=now,
    )
    if operation.id in known:
        return walk.decision()
    if state.ending is not None or state.phase in {Phase.DELETED, Phase.FAILED}:
        walk.add_operation(operation)
        _finish(walk, operation.id, _wrong_phase(asked.verb, state.phase))
    elif asked.verb is Verb.EXTEND and asked.lease_ttl is not None:
        walk.set_lease(asked.lease_ttl)
    elif asked.verb is Verb.UPDATE:
        _update(walk, asked)
        if (change := changing_spec.change_of(walk.state, asked)) is not None:
            walk.change(changes={**walk.state.changes, operation.id: change})
        if operation.size_gib is not None or change is not None:
            _take(walk, operation, room)
    else:
        _take(walk, operation, room)
    return walk.decision()


def _take(walk: Walk, operation: Operation, room: Room | None) -> None:
    """Put it behind the others, or record it with what stands against it."""
    before = walk.state.resource
    walk.add_operation(operation)
    problem = None
    if before.status.phase is not Phase.ACTIVE:
        problem = _wrong_phase(operation.verb, before.status.phase)
    elif sum(one.state in OPEN for one in before.status.operations) >= MAX_OPEN:
        problem = _too_many(operation.verb)
    elif operation.size_gib is not None:
        problem = refusal(before, operation, room or Room(None, 0))
    if problem is not None:
        _finish(walk, operation.id, problem)
    _start_next(walk)


def _update(walk: Walk, asked: RequestSubmitted) -> None:
    if asked.labels is not None:
        walk.change_resource(labels=asked.labels)
    if asked.lease_ttl is not None:
        walk.set_lease(asked.lease_ttl)


def _wrong_phase(verb: Verb, phase: Phase) -> Problem:
    return Problem(
        title="Wrong phase",
        detail=f"{verb.value} is not possible while the resource is {phase.value}.",
        reason=Reason.WRONG_PHASE,
    )


def _too_many(verb: Verb) -> Problem:
    return Problem(
        title="Too many operations",
        detail=f"{verb.value} was not taken: {MAX_OPEN} operations have not ended yet.",
        reason=Reason.NO_CAPACITY,
        retryable=True,
    )


def _start_next(walk: Walk) -> None:
    operations = walk.state.resource.status.operations
    if any(operation.state is OperationState.RUNNING for operation in operations):
        return
    waiting = [one for one in operations if one.state is OperationState.REQUESTED]
    for operation in waiting:
        problem = _stands_against(walk, operation)
        if problem is None:
            _issue(walk, operation)
            return
        _finish(walk, operation.id, problem)


def _stands_against(walk: Walk, operation: Operation) -> Problem | None:
    """Why it can't be after those before it; None: it can."""
    if operation.size_gib:
        words = too_small(walk.state.resource, operation.size_gib)
        return bad_size(words) if words else None
    words = changing_spec.too_large(walk.state, operation.id)
    if words is None:
        return None
    return Problem(title="Too large", detail=words, reason=Reason.COMMAND_REJECTED)


def _issue(walk: Walk, operation: Operation) -> None:
    name = _PREFIX + operation.id
    if operation.state is OperationState.REQUESTED:
        patience = timedelta(seconds=_verbs(walk.definition).patience)
        walk.set_timer(f"overdue/{name}", walk.now + patience)
        operation = msgspec.structs.replace(
            operation, state=OperationState.RUNNING, started_at=walk.now
        )
        walk.change_operation(operation.id, state=operation.state, started_at=walk.now)
    message = _verbs(walk.definition).command(walk.state, operation)
    walk.issue(name, walk.definition.worker, message)


def _verbs(definition: WorkflowDefinition) -> OperationDefinition:
    if definition.operations is None:
        raise LookupError(f"a {definition.kind} knows no verbs")
    return definition.operations


def _find(walk: Walk, name: str) -> Operation | None:
    wanted = name.removeprefix(_PREFIX)
    operations = walk.state.resource.status.operations
    return next((one for one in operations if one.id == wanted), None)


def absorb(walk: Walk, name: str, event: Message) -> None:
    """The worker's answer to an operation's command."""
    operation = _find(walk, name)
    if operation is None:
        return
    if isinstance(event, _verbs(walk.definition).accepted_by):
        walk.answered(name, accepted=True)
        walk.change_progress(name, unproven=_verbs(walk.definition).unproven)
        early = walk.take_early(name)
        if early is not None:
            observe(walk, early)
    elif (ended := _verbs(walk.definition).ended_by.get(type(event))) is not None:
        walk.answered(name)
        walk.keep({}, ended(event).outputs)
        _finish(walk, operation.id)
        _start_next(walk)
    elif isinstance(event, CommandFailed) and event.retryable:
        walk.back_off(name, event.problem, event.retry_after)
    elif isinstance(event, CommandFailed):
        walk.answered(name)
        _finish(walk, operation.id, event.problem)
        _start_next(walk)


def observe(walk: Walk, seen: Message) -> None:
    """An observation newer than the backend's acceptance may show the operation done.

    What the backend tells by itself is the end of something, so it is enough that the operation
    had been ordered by then; when its command isn't answered yet, it is kept until it is.
    """
    observed_at = getattr(seen, "observed_at", walk.now)
    told = is_told(seen)
    for operation in walk.state.resource.status.operations:
        name = _PREFIX + operation.id
        progress = walk.progress(name)
        since = operation.started_at if told else progress.accepted_at
        if (
            operation.state is not OperationState.RUNNING
            or (since or walk.now) > observed_at
            or not is_current(walk, seen)
        ):
            continue
        verbs = _verbs(walk.definition)
        if progress.accepted and (fault := verbs.failed(operation, seen)) is not None:
            _finish(walk, operation.id, fault)
            _start_next(walk)
        elif not verbs.done(operation, seen):
            if progress.accepted and (problem := verbs.in_vain(operation, seen)) is not None:
                walk.back_off(name, problem)
                walk.change_operation(operation.id, error=problem)
        elif progress.accepted:
            _finish(walk, operation.id)
            _start_next(walk)
        elif told:
            walk.keep_early(name, seen)


def ring(walk: Walk, what: str, name: str) -> None:
    """A timer of an operation: try again, or give up."""
    operation = _find(walk, name)
    if operation is None or operation.state is not OperationState.RUNNING:
        return
    if what == "overdue" and operation.size_gib and not walk.progress(name).answered:
        walk.set_timer(f"overdue/{name}", walk.now + _LONGER)  # it may be growing just now
    elif what == "overdue":
        seconds = _verbs(walk.definition).patience
        words = f"{operation.verb.value} did not end within {seconds:.0f} s."
        last = operation.error.detail if operation.error else None
        detail = " ".join(filter(None, (words, last)))
        problem = Problem(
            title="Timeout", detail=detail, reason=Reason.BACKEND_TIMEOUT, retryable=True
        )
        _finish(walk, operation.id, problem)
        _start_next(walk)
    elif (what == "retry") == walk.progress(name).answered:
        _issue(walk, operation)


def abandon(walk: Walk) -> None:
    """The resource goes: what was still asked of it is not done any more."""
    for operation in walk.state.resource.status.operations:
        if operation.state in OPEN:
            _finish(walk, operation.id, _wrong_phase(operation.verb, Phase.DEPROVISIONING))


def _finish(walk: Walk, operation_id: str, error: Problem | None = None) -> None:
    operation = _find(walk, _PREFIX + operation_id)
    if operation is not None and error is None:
        walk.change_resource(spec=spec_when_done(walk.state.resource, operation))
        changing_spec.apply(walk, operation.id)
    changing_spec.forget(walk, operation_id)
    state = OperationState.FAILED if error else OperationState.DONE
    walk.change_operation(operation_id, state=state, finished_at=walk.now, error=error)
    name = _PREFIX + operation_id
    for timer in ("retry", "expiry", "overdue"):
        walk.cancel_timer(f"{timer}/{name}")
    progress = {key: value for key, value in walk.state.progress.items() if key != name}
    walk.change(progress=progress)
