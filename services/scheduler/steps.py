"""One step at a time: what an answer, an observation or a timer means for it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import msgspec

from services.scheduler import leaving, making, undoing
from services.scheduler.definitions import StepDefinition, doubt_of
from services.scheduler.sight import is_current, is_told
from services.scheduler.state import Ending, Goal
from services.scheduler.walk import UNKNOWN_LIFE, Walk, reason_of
from shared.contract.messages import Message
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Phase, StepState

_UNFINISHED = frozenset({StepState.RUNNING, StepState.RETRYING})
_OPEN = _UNFINISHED | {StepState.UNDOING}
#: An undo that the backend accepted and that nothing has shown done by then is ordered again.
UNDO_AGAIN = timedelta(seconds=120)
#: What the cloud has none of now may be had when something ends, unless it says never.
_MAY_BE_WAITED_FOR = frozenset(
    {
        Reason.QUOTA_EXCEEDED,
        Reason.ADDRESSES_EXHAUSTED,
        Reason.NO_FREE_NODE,
        Reason.NODE_MAINTENANCE,
    }
)
#: What one cloud hasn't, another one may have.
_MAY_BE_ELSEWHERE = _MAY_BE_WAITED_FOR | {
    Reason.NO_VALID_HOST,
    Reason.IMAGE_NOT_FOUND,
    Reason.FLAVOR_NOT_FOUND,
    Reason.NETWORK_NOT_FOUND,
    Reason.SECURITY_GROUP_NOT_FOUND,
    Reason.NO_CLOUD,
    Reason.NO_STORE,
    Reason.NO_METAL,
}


def succeeded(walk: Walk, step: StepDefinition, event: Message) -> None:
    """An answer to the open command: keep what it tells; done, or accepted and to be seen."""
    back = _on_the_way_back(walk, step)
    absorb_event = (step.undone_by if back else step.made_by).get(type(event))
    if absorb_event is None:
        return
    absorbed = absorb_event(event)
    walk.answered(step.name, accepted=not absorbed.done)
    if back and not absorbed.done:
        # A deletion that the backend accepts may still come to nothing: it is then asked anew.
        walk.set_timer(f"retry/{step.name}", walk.now + UNDO_AGAIN)
        # Of what was never seen made the backend may tell nothing when it goes (Nova: a server
        # that has no host yet), so it is looked for.
        walk.change_progress(step.name, unproven=not walk.progress(step.name).made)
    if absorbed.unproven:
        walk.change_progress(step.name, unproven=True)
    walk.keep(absorbed.handles, absorbed.outputs)
    _clear_passing_reason(walk)
    early = walk.take_early(step.name)
    if absorbed.done:
        _conclude(walk, step, back=back)
    elif early is not None and walk.definition.is_about(walk.state, early):
        see(walk, step, early)
    advance(walk)


def answered_again(walk: Walk, step: StepDefinition, event: Message) -> None:
    """An answer to a command that has had one, or that another has followed.

    Two workers may have been at it, one of them cut off from the broker: what this one made may be
    there beside what the handles name, and must not be overlooked when all is undone. What is
    doubted already needs no second doubt.
    """
    absorb_event = step.made_by.get(type(event))
    if absorb_event is None or not walk.progress(step.name).began:
        return
    doubt, known = doubt_of(step.name), walk.state.handles
    doubted = (known.get(doubt) or "").split()
    told = absorb_event(event).handles.items()
    if news := [word for name, word in told if word and word not in (known.get(name), *doubted)]:
        walk.keep({doubt: " ".join([*doubted, *news])}, {})
        walk.change_progress(step.name, unknown_until=walk.now + UNKNOWN_LIFE)


def failed(
    walk: Walk,
    step: StepDefinition,
    problem: Problem,
    *,
    retryable: bool,
    unknown: bool = False,
    wish: float | None = None,
) -> None:
    """The open command had no effect, or an unknown one: again in a while, or give the step up.

    ``wish``: how long the backend wants to be left alone, in seconds.
    """
    state = walk.state.step(step.name).state
    walk.change_step(step.name, error=problem)
    if unknown and state is not StepState.UNDOING:
        walk.change_progress(step.name, unknown_until=walk.now + UNKNOWN_LIFE)
    if state is StepState.UNDOING:
        walk.keep(step.undo_held_up(walk.state, problem, walk.now), {})
        walk.back_off(step.name, problem, wish)  # a delete never gives up
    elif walk.state.ending is not None:
        walk.answered(step.name)
        walk.change_step(step.name, state=StepState.FAILED)
        advance(walk)
    elif retryable or walk.state.phase is Phase.ACTIVE:  # what lives is mended, not given up
        walk.back_off(step.name, problem, wish)
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
    elif reason in _MAY_BE_ELSEWHERE and walk.state.alternatives:
        goal = Goal.REPLACE
    elif reason in _MAY_BE_ELSEWHERE and walk.state.refusals:
        problem = _of_all_clouds(walk, problem)
    undoing.end(walk, Ending(goal=goal, reason=reason, problem=problem))


def _of_all_clouds(walk: Walk, last: Problem) -> Problem:
    """The last cloud's problem, with the words of those before it."""
    refusals = {**walk.state.refusals, walk.state.place: last}
    words = [f"{cloud}: {one.detail or one.title}" for cloud, one in refusals.items()]
    return msgspec.structs.replace(last, detail="; ".join(words))


def see(walk: Walk, step: StepDefinition, seen: Message) -> None:
    """An observation may end the step.

    One that was asked for has to be newer than the backend's acceptance, before which nothing has
    happened yet. What the backend tells by itself has happened, and is of this very object
    (`WorkflowDefinition.is_about`); it may even come before the answer, and is then kept for it.
    """
    progress = walk.progress(step.name)
    back = _on_the_way_back(walk, step)
    judge = step.sees_undone if back else step.sees_made
    if judge is None:
        return
    told = is_told(seen)
    if told and not progress.accepted:
        if walk.state.step(step.name).state in _OPEN:
            walk.keep_early(step.name, seen)
        return
    observed_at = getattr(seen, "observed_at", walk.now)
    too_old = not told and (progress.accepted_at or walk.now) > observed_at
    if not progress.accepted or too_old or not is_current(walk, seen):
        return
    if not back:  # on the way back it stays as it was: what failed, and why
        walk.show_parts(step, seen)
    sighting = judge(walk.state, seen)
    _clear_passing_reason(walk)
    if sighting.failed is not None:
        walk.answered(step.name)
        _give_up(walk, step, *sighting.failed)
    elif sighting.again is not None:
        walk.keep(sighting.handles, {})
        failed(walk, step, sighting.again, retryable=True)
    elif sighting.done:
        walk.answered(step.name)
        walk.keep(sighting.handles, sighting.outputs)
        _conclude(walk, step, back=back)
        advance(walk)
    elif sighting.unproven:
        walk.keep(sighting.handles, sighting.outputs)
        walk.change_progress(step.name, unproven=True)
        if sighting.why and walk.state.phase is Phase.PROVISIONING and not _is_held_up(walk):
            walk.explain(*sighting.why)


def _on_the_way_back(walk: Walk, step: StepDefinition) -> bool:
    return walk.state.step(step.name).state is StepState.UNDOING


def _conclude(walk: Walk, step: StepDefinition, *, back: bool) -> None:
    """The step is done; or undone, unless the backend may yet do what it did not answer."""
    unknown_until = walk.progress(step.name).unknown_until
    if back and unknown_until is not None and walk.now < unknown_until:
        walk.set_timer(f"retry/{step.name}", unknown_until)
        return
    walk.change_progress(step.name, made=not back)
    _finish(walk, step, StepState.UNDONE if back else StepState.DONE)


def _finish(walk: Walk, step: StepDefinition, state: StepState) -> None:
    walk.change_step(step.name, state=state, finished_at=walk.now, error=None)
    walk.cancel_timer(f"overdue/{step.name}")
    walk.cancel_timer(f"retry/{step.name}")


def _clear_passing_reason(walk: Walk) -> None:
    """What held the resource up is over, unless another step is still being held up."""
    if walk.state.phase in {Phase.PROVISIONING, Phase.DEPROVISIONING} and not _is_held_up(walk):
        ending = walk.state.ending
        walk.explain(ending.reason if ending else None)


def _is_held_up(walk: Walk) -> bool:
    return any(walk.progress(step.name).failures for step in walk.wanted())


def retry(walk: Walk, step: StepDefinition, resting: Collection[str] = ()) -> None:
    """The pause after a failed attempt is over, or an accepted undo was never seen done.

    Where the cloud rests meanwhile, and nothing was made there, it goes on elsewhere.
    """
    state = walk.state.step(step.name).state
    if state is StepState.UNDOING and walk.progress(step.name).answered:
        walk.issue_step(step, undo=True)
    elif state is StepState.RETRYING and leaving.may_leave(walk, resting):
        leaving.leave(walk)
    elif state is StepState.RETRYING:
        walk.issue_step(step, undo=False)


def expire(walk: Walk, step: StepDefinition) -> None:
    """No answer, and none can come any more: the outcome is unknown, the next attempt looks."""
    if walk.progress(step.name).answered:
        return
    problem = Problem(
        title="No answer",
        detail=f"No answer from {step.worker} to attempt {walk.progress(step.name).attempt}.",
        reason=Reason.BACKEND_TIMEOUT,
        retryable=True,
    )
    failed(walk, step, problem, retryable=True)


def overdue(walk: Walk, step: StepDefinition) -> None:
    """The step has had all the time that a making may take."""
    if walk.state.step(step.name).state in _UNFINISHED and walk.state.ending is None:
        words = f"Step {step.name} did not end within {step.patience:.0f} s."
        detail = " ".join([words, *so_far(walk)])
        undoing.fail(walk, Reason.BACKEND_TIMEOUT, detail, retryable=True)


def so_far(walk: Walk) -> list[str]:
    """Return what is known of those that the backends have accepted and nothing has shown done."""
    open_ones = [step for step in walk.wanted() if walk.progress(step.name).accepted]
    return [words for step in open_ones if (words := step.so_far(walk.state))]


def advance(walk: Walk) -> None:
    """Go on from here: back when the resource is ending, forward else."""
    if walk.state.ending is not None:
        undoing.go_back(walk)
    elif walk.state.phase is Phase.PROVISIONING:
        making.go_forward(walk)
