"""The one step of a stack: what Heat makes of its template, and what is seen of that. Pure.

Heat's word alone proves nothing: the stack is active when its servers are seen running, too. Its
cloud's notifications tell of VMs; of stacks only inspections do, which therefore go on at their
quick pace (``unproven``) until something has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from services.scheduler import changing_spec
from services.scheduler.changing_spec import spec_after
from services.scheduler.definitions import (
    Absorbed,
    Held,
    Inspection,
    OperationDefinition,
    Sighting,
    StepDefinition,
    WorkflowDefinition,
)
from services.scheduler.stack_parts import stack_parts, wants_times
from services.scheduler.state import Progress, ResourceState, SpecChange
from shared.contract.messages import (
    ChangeStack,
    DeprovisionStack,
    InspectStacks,
    ProvisionStack,
    StackChangeStarted,
    StackCreateStarted,
    StackDeletionStarted,
    StackDeprovisioned,
    StackInspection,
    StackObserved,
)
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Operation

WORKER = "stack_worker"
STEP = "stack"
_HIDDEN = "hidden_parameters"
#: How large the boxes of one stack, and of all that one command looks at, may be, in characters:
#: where they are larger, the worker tells no words of Heat's.
MOST_OF_ONE, MOST_TOGETHER = 128 * 1024, 2 * 1024 * 1024
#: Longer than Heat is given at most, in seconds.
PATIENCE = 3900
#: What is wrong with the parts so far, as far as `StepDefinition.so_far` can tell.
_SO_FAR = "so_far"
#: So much longer than its timeout Heat may take to say that this is over.
_GRACE = timedelta(seconds=90)
#: How many parts are named in words.
_NAMED = 5


def _provision(state: ResourceState) -> ProvisionStack:
    spec = state.resource.spec
    return ProvisionStack(
        cloud=state.place,
        template=spec.get("template"),
        template_name=spec.get("template_name"),
        parameters=spec.get("parameters", {}),
        sealed_hidden_parameters=state.sealed.get(_HIDDEN),
        timeout=spec.get("timeout"),
    )


def _deletion_started(event: StackDeletionStarted) -> Absorbed:
    return Absorbed(done=False, unproven=True, handles={"stack_id": event.stack_id})


def _create_started(event: StackCreateStarted) -> Absorbed:
    return Absorbed(
        done=False,
        unproven=True,
        handles={"stack_id": event.stack_id},
        outputs={"stack_id": event.stack_id},
    )


def stack_made(state: ResourceState, seen: StackObserved) -> Sighting:
    """Complete counts only with the stack's own servers running; failed is Heat's last word."""
    if seen.gone:
        detail = "The stack disappeared from Heat while it was being made."
        problem = Problem(title="Stack disappeared", detail=detail, retryable=True)
        return Sighting(failed=(Reason.REMOVED_EXTERNALLY, problem))
    if seen.stack_status in {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"}:
        return Sighting(failed=(Reason.STACK_FAILED, _failure(seen)))
    if seen.stack_status == "CREATE_COMPLETE" and not seen.unproven and seen.outputs is not None:
        outputs = outputs_of(state, seen)
        return Sighting(done=True, outputs=outputs, handles={_SO_FAR: ""})
    if (seconds := _too_long(state, seen)) is not None:
        detail = f"Heat has not ended it within its timeout of {seconds} s: {_open_parts(seen)}."
        problem = Problem(title="Timeout", detail=detail, retryable=True)
        return Sighting(failed=(Reason.BACKEND_TIMEOUT, problem))
    return Sighting(unproven=True, handles={_SO_FAR: _open_parts(seen)})


def _too_long(state: ResourceState, seen: StackObserved) -> int | None:
    """Return Heat's timeout in seconds, once it is well over; None: it isn't, or there is none.

    Heat leaves a stack in progress for ever whose engine was killed: it looks at its timeout when
    a part of it is done.
    """
    progress = state.progress.get(STEP, Progress())
    timeout, since = state.resource.spec.get("timeout"), progress.accepted_at
    if timeout is None or since is None:
        return None
    return timeout if seen.observed_at > since + timedelta(seconds=timeout) + _GRACE else None


def stack_undone(state: ResourceState, seen: StackObserved) -> Sighting:
    """Gone is undone; what Heat could not delete is ordered again, which it takes up from there."""
    del state
    if seen.stack_status == "DELETE_FAILED" and not seen.gone:
        return Sighting(again=_failure(seen))
    return Sighting(done=seen.gone, unproven=not seen.gone)


def _failure(seen: StackObserved) -> Problem:
    return Problem(
        title="Stack failed",
        detail=seen.status_reason or f"Heat says {seen.stack_status} and gives no reason.",
        reason=Reason.STACK_FAILED,
        retryable=True,
    )


def _open_parts(seen: StackObserved) -> str:
    """Say what a making still waits for: servers that don't run, else parts that aren't made."""
    done = ("_COMPLETE",)
    open_ones = [f"{one.name}: {one.status}" for one in seen.parts if not one.status.endswith(done)]
    return ", ".join((seen.unproven or tuple(open_ones))[:_NAMED])


def _so_far(state: ResourceState) -> str | None:
    words = state.handles.get(_SO_FAR)
    return f"Heat still was at {words}." if words else None


def outputs_of(state: ResourceState, seen: StackObserved) -> dict[str, Any]:
    """Return what a stack shows of itself: {output: value}, and what was too large to be told."""
    if seen.outputs is None:
        return {}
    told: dict[str, Any] = {"outputs": seen.outputs}
    if seen.left_out or "left_out" in state.resource.status.outputs:
        told["left_out"] = list(seen.left_out)
    return told


def _change(state: ResourceState, operation: Operation) -> ChangeStack:
    after = spec_after(state, operation.id)
    change = state.changes.get(operation.id, SpecChange())
    named = change.spec.get("parameters", {})
    return ChangeStack(
        cloud=state.place,
        stack_id=state.handles["stack_id"],
        operation_id=operation.id,
        template=after.get("template"),
        template_name=after.get("template_name"),
        # What the spec itself has is what Heat has; the catalog may have changed since.
        stored_template="template_name" in after and "template_name" not in change.spec,
        # All of them: Heat may still have those of a change that failed.
        parameters=after.get("parameters", {}),
        named=tuple(sorted(named)),
        sealed_hidden_parameters=change.sealed.get(_HIDDEN),
        sealed_before=_sealed_before(state),
    )


def _sealed_before(state: ResourceState) -> tuple[str, ...]:
    """The secrets that Heat may quote, but for those of changes under way."""
    made_with = state.sealed.get(_HIDDEN)
    return (*([made_with] if made_with else []), *state.sealed_before)


def _all_sealed(state: ResourceState) -> tuple[str, ...]:
    """With those of the change that Heat has been told of."""
    running = [
        state.changes[one.id].sealed.get(_HIDDEN)
        for one in state.resource.status.operations
        if one.id in state.changes and one.started_at is not None
    ]
    all_boxes = (*_sealed_before(state), *(one for one in running if one))
    return changing_spec.bounded(all_boxes, MOST_OF_ONE)


def _within_bounds(states: Sequence[ResourceState]) -> dict[str, tuple[str, ...]]:
    """Return the boxes of each; of the largest none, where together they would be too large."""
    boxes = {state.resource.id: _all_sealed(state) for state in states}
    sizes = {id: sum(map(len, those)) for id, those in boxes.items()}
    room = MOST_TOGETHER
    for id in sorted(sizes, key=lambda one: sizes[one]):
        room -= sizes[id]
        if room < 0:
            boxes[id] = (changing_spec.FORGOTTEN,)
    return boxes


def _changed(operation: Operation, seen: StackObserved) -> bool:
    """Heat says that a stack is being changed before it accepts the change."""
    del operation
    return seen.stack_status == "UPDATE_COMPLETE" and not seen.unproven


def _change_failed(operation: Operation, seen: StackObserved) -> Problem | None:
    del operation
    return _failure(seen) if seen.stack_status == "UPDATE_FAILED" else None


def is_about(state: ResourceState, seen: StackObserved) -> bool:
    """Heat tells nothing by itself; what was asked for is of this very stack."""
    del state, seen
    return True


def condition(state: ResourceState, seen: StackObserved) -> tuple[Reason, str, bool] | None:
    """Return what is wrong with a living stack, in words, and whether it is lost; None: nothing."""
    del state
    if seen.gone:
        return Reason.REMOVED_EXTERNALLY, "The stack no longer exists in Heat.", True
    if seen.stack_status and seen.stack_status.endswith("_FAILED"):
        return Reason.STACK_FAILED, seen.status_reason or f"Heat says {seen.stack_status}.", False
    if seen.unproven:
        return Reason.SERVER_ERROR, f"Not running: {', '.join(seen.unproven[:_NAMED])}.", False
    return None


def _inspect(cloud: str, states: Sequence[ResourceState]) -> InspectStacks:
    sealed = _within_bounds(states)
    return InspectStacks(
        cloud=cloud,
        stacks=tuple(
            StackInspection(
                resource_id=state.resource.id,
                tenant=state.resource.tenant,
                stack_id=state.handles.get("stack_id"),
                with_times=wants_times(state.step(STEP), state),
                sealed_hidden_parameters=sealed[state.resource.id],
            )
            for state in states
        ),
    )


STACK_WORKFLOW = WorkflowDefinition(
    kind="stack",
    worker=WORKER,
    steps=(
        StepDefinition(
            name=STEP,
            worker=WORKER,
            make=_provision,
            made_by={StackCreateStarted: _create_started},
            sees_made=stack_made,
            undo=lambda state: DeprovisionStack(
                cloud=state.place, stack_id=state.handles.get("stack_id")
            ),
            undone_by={
                StackDeprovisioned: lambda _: Absorbed(),
                StackDeletionStarted: _deletion_started,
            },
            sees_undone=stack_undone,
            patience=PATIENCE,
            parts=lambda state, seen: stack_parts(state.step(STEP), seen),
            so_far=_so_far,
        ),
    ),
    inspections=(Inspection(WORKER, StackObserved, _inspect),),
    is_about=is_about,
    outputs=outputs_of,
    condition=condition,
    holds={"stack": Held("stack_id", WORKER)},
    quotes_secrets=True,
    operations=OperationDefinition(
        command=_change,
        accepted_by=StackChangeStarted,
        done=_changed,
        failed=_change_failed,
        unproven=True,
        patience=PATIENCE,
    ),
)
