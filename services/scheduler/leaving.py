"""A resource leaves a resting cloud before anything was made there; what may be left is removed.

Whether a failed command had its effect is unknown, and the cloud that could tell doesn't answer.
So the resource goes elsewhere at once, and the undo follows behind it (`LeftBehind`), for as long
as it takes: until then it is neither placed on that cloud again, nor ended.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import msgspec

from services.scheduler.definitions import StepDefinition
from services.scheduler.state import LeftBehind, ResourceState
from services.scheduler.walk import COMMAND_LIFE, REQUEST_LIFE, Walk
from shared.contract.messages import CommandFailed, Message
from shared.contract.problems import Reason
from shared.contract.resources import Phase, Placement

_PREFIX = "left-"
#: An undo that the backend accepted is asked for again until nothing is found any more.
_AGAIN = timedelta(seconds=15)


def is_left_behind(name: str) -> bool:
    """Tell whether an envelope's ``step`` names an undo on a cloud that was left."""
    return name.startswith(_PREFIX)


def may_leave(walk: Walk, resting: Collection[str]) -> bool:
    """Tell whether the resource is better off elsewhere, and nothing of weight can be here.

    Its commands have all answered, none was for what is waited for (a server): that one stays
    with the cloud it was ordered from, so that there are never two. Nor was any for another place
    than the one that it leaves (a metal's store): there it would be made again under the same
    names, with the undo behind it.
    """
    state = walk.state
    if state.ending is not None or state.phase is not Phase.PROVISIONING:
        return False
    if state.place not in resting or not set(state.alternatives) - set(resting):
        return False
    return all(walk.progress(step.name).answered for step in walk.wanted()) and not any(
        step.sees_made is not None or step.place(state) != state.place
        for step in walk.wanted()
        if walk.progress(step.name).began
    )


def leave(walk: Walk) -> None:
    """Back into the queue for another cloud; undo behind it what began here."""
    state = walk.state
    began = [step.name for step in walk.wanted() if walk.progress(step.name).began]
    unknown = [until for name in began if (until := walk.progress(name).unknown_until)]
    left = LeftBehind(
        cloud=state.place,
        placement=state.resource.status.placement,
        steps=tuple(reversed(began)),
        handles=state.handles,
        unknown_until=max(unknown, default=None),
    )
    for name in began:
        walk.cancel_timer(f"retry/{name}")
        walk.cancel_timer(f"overdue/{name}")
    walk.change(handles={}, left_behind=(*state.left_behind, left))
    walk.reset_steps()
    walk.change_status(phase=Phase.WAITING, placement=None, outputs={})
    walk.explain(Reason.BACKEND_UNAVAILABLE, f"{left.cloud} rests; another cloud is looked for.")
    _issue(walk, left)


def _issue(walk: Walk, left: LeftBehind) -> None:
    step = walk.definition.step(left.steps[0])
    walk.issue(_PREFIX + left.cloud, step.worker, step.undo(_as_it_was(walk.state, left)))


def _as_it_was(state: ResourceState, left: LeftBehind) -> ResourceState:
    placement = left.placement or Placement(cloud=left.cloud)
    status = msgspec.structs.replace(state.resource.status, placement=placement)
    resource = msgspec.structs.replace(state.resource, status=status)
    return msgspec.structs.replace(state, resource=resource, handles=left.handles)


def _find(walk: Walk, name: str) -> LeftBehind | None:
    return next((one for one in walk.state.left_behind if _PREFIX + one.cloud == name), None)


def absorb(walk: Walk, name: str, event: Message) -> None:
    """The worker's answer: on to the next step, or the same again in a while."""
    left = _find(walk, name)
    if left is None:
        return
    step: StepDefinition = walk.definition.step(left.steps[0])
    absorb_event = step.undone_by.get(type(event))
    if absorb_event is None:
        # Without a word in the resource's status: it may be well, elsewhere.
        walk.pause(name, event.retry_after if isinstance(event, CommandFailed) else None)
    elif not absorb_event(event).done:
        walk.answered(name)
        walk.set_timer(f"retry/{name}", walk.now + _AGAIN)
    elif left.unknown_until is not None and walk.now < left.unknown_until:
        walk.answered(name)
        walk.set_timer(f"retry/{name}", left.unknown_until)
    else:
        walk.answered(name)
        _next(walk, left)


def _next(walk: Walk, left: LeftBehind) -> None:
    others = tuple(one for one in walk.state.left_behind if one.cloud != left.cloud)
    rest = msgspec.structs.replace(left, steps=left.steps[1:])
    walk.change(left_behind=(*others, rest) if rest.steps else others)
    if rest.steps:
        _issue(walk, rest)


def ring(walk: Walk, what: str, name: str) -> None:
    """A pause is over, or no answer can come any more."""
    left = _find(walk, name)
    if left is None:
        return
    answered = walk.progress(name).answered
    if what == "retry" and answered:
        _issue(walk, left)
    elif what == "expiry" and not answered:
        walk.pause(name)


def keep_timers(walk: Walk) -> None:
    """After all timers were cleared: those of what is left behind are still needed."""
    for left in walk.state.left_behind:
        name = _PREFIX + left.cloud
        if walk.progress(name).answered:
            walk.set_timer(f"retry/{name}", walk.now + _AGAIN)
        else:
            walk.set_timer(f"expiry/{name}", walk.now + COMMAND_LIFE + REQUEST_LIFE)
