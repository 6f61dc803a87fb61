"""What Heat shows of a stack's resources, as parts of its step. Pure.

The states are told in the words that all steps have, beside Heat's own. When Heat began with a part
and ended, it is asked while the stack changes, or has changed; what was seen of that before stays.
"""

from __future__ import annotations

from services.scheduler.definitions import Parts
from services.scheduler.state import ResourceState
from shared.contract.messages import StackObserved
from shared.contract.messages import StackPart as SeenPart
from shared.contract.resources import OperationState, Phase, Step, StepPart, StepState

#: How many are shown: each status message carries them.
MOST_PARTS = 100
_STATES = {
    "IN_PROGRESS": StepState.RUNNING,
    "COMPLETE": StepState.DONE,
    "FAILED": StepState.FAILED,
}
_ENDED = {StepState.DONE, StepState.FAILED}
_GOING = {StepState.RUNNING: StepState.UNDOING, StepState.DONE: StepState.UNDONE}


def wants_times(step: Step, state: ResourceState) -> bool:
    """Tell whether Heat is at work on its parts by our order, or was when nobody asked for times.

    Its owner may have had Heat change it; and a look that was ordered before a change may show it
    done.
    """
    if state.phase is not Phase.ACTIVE:
        return state.phase is Phase.PROVISIONING
    running = any(one.state is OperationState.RUNNING for one in state.resource.status.operations)
    return running or any(one.finished_at is None and one.state in _ENDED for one in step.parts)


def stack_parts(step: Step, seen: StackObserved) -> Parts | None:
    """Return what the stack is made of; None when it is gone: then the last that was seen stays."""
    if seen.gone:
        return None
    known = {one.name: one for one in step.parts}
    # A worker of before bounds them less.
    shown = tuple(_shown(one, known.get(one.name)) for one in seen.parts[:MOST_PARTS])
    return shown, seen.more_parts + len(seen.parts) - len(shown)


def _shown(one: SeenPart, known: StepPart | None) -> StepPart:
    began, ended = one.started_at, one.finished_at
    if known is not None and known.status == one.status:
        began, ended = began or known.started_at, ended or known.finished_at
    elif known is not None and known.finished_at is None and _action(known) == _action(one):
        began = began or known.started_at
    return StepPart(
        name=one.name,
        type=one.type,
        state=_state_of(one.status),
        status=one.status,
        reason=one.reason,
        started_at=began,
        finished_at=ended,
    )


def _state_of(status: str) -> StepState:
    """What Heat has not begun with is ``INIT_COMPLETE``."""
    action, _, how = status.partition("_")
    state = StepState.PENDING if action == "INIT" else _STATES.get(how, StepState.PENDING)
    return _GOING.get(state, state) if action == "DELETE" else state


def _action(part: StepPart | SeenPart) -> str:
    return part.status.partition("_")[0]
