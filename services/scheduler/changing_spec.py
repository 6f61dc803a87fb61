"""Changes of a living resource's spec, kept while their operation has not ended. Pure.

What is asked for becomes the spec only when it is done: a spec says what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from services.scheduler.state import ResourceState, SpecChange
from services.scheduler.walk import Walk
from shared.contract.kinds import KINDS, SEALED
from shared.contract.messages import RequestSubmitted

#: What a stack may have of parameters: as many as one request may name, and their size as JSON.
MOST_PARAMETERS = 200
MOST_BYTES = 256 * 1024
#: How large the boxes of secrets of ended changes may be that are kept, in characters.
MOST_BEFORE = 64 * 1024
#: Stands for boxes that are kept no longer: nobody can open it.
FORGOTTEN = ""
#: Fields of which one takes the place of the other.
_INSTEAD = {"template": "template_name", "template_name": "template"}


def change_of(state: ResourceState, asked: RequestSubmitted) -> SpecChange | None:
    """Return what an update asks for beside a volume's size; None: nothing."""
    secrets = KINDS[state.resource.kind].secrets
    told = {name: value for name, value in asked.spec.items() if value is not None}
    told.pop("size_gib", None)  # grows (`growing`)
    sealed = {name: told.pop(SEALED + name) for name in secrets if SEALED + name in told}
    return SpecChange(spec=told, sealed=sealed) if told or sealed else None


def spec_after(state: ResourceState, operation_id: str) -> dict[str, Any]:
    """Return the spec as it will be when the operation is done."""
    before = dict(state.resource.spec)
    change = state.changes.get(operation_id, SpecChange()).spec
    for name in change:
        before.pop(_INSTEAD.get(name, ""), None)
    after = {**before, **change}
    if "parameters" in change:
        after["parameters"] = {**before.get("parameters", {}), **change["parameters"]}
    return after


def too_large(state: ResourceState, operation_id: str) -> str | None:
    """Why the spec can't be what the operation makes of it; None: it can.

    Each change is bounded, and many of them would make it ever larger: a status carries it all.
    """
    parameters = spec_after(state, operation_id).get("parameters", {})
    if operation_id not in state.changes or not parameters:
        return None
    size = len(msgspec.json.encode(parameters))
    if len(parameters) <= MOST_PARAMETERS and size <= MOST_BYTES:
        return None
    return (
        f"parameters: {len(parameters)} of {size} bytes altogether, with those that there are;"
        f" at most {MOST_PARAMETERS} of {MOST_BYTES} bytes are expected."
    )


def contradicts(state: ResourceState, operation_id: str) -> str | None:
    """Why what an operation makes of the spec is none that its kind may have; None: it is one."""
    if operation_id not in state.changes:
        return None
    try:
        msgspec.convert(spec_after(state, operation_id), KINDS[state.resource.kind].spec)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def apply(walk: Walk, operation_id: str) -> None:
    """The operation is done: its change is now what is there."""
    if operation_id in walk.state.changes:
        walk.change_resource(spec=spec_after(walk.state, operation_id))


def forget(walk: Walk, operation_id: str) -> None:
    """The operation has ended, however."""
    changes = dict(walk.state.changes)
    if (ended := changes.pop(operation_id, None)) is None:
        return
    walk.change(changes=changes)
    operation = next(one for one in walk.state.resource.status.operations if one.id == operation_id)
    began = operation.started_at is not None  # else its backend was never told
    if began and ended.sealed and walk.definition.quotes_secrets:
        before = (*walk.state.sealed_before, *ended.sealed.values())
        walk.change(sealed_before=bounded(before, MOST_BEFORE))


def bounded(boxes: Sequence[str], most: int) -> tuple[str, ...]:
    """Return the newest that fit, after `FORGOTTEN` where older ones don't: its backend may use
    what an old change has brought for as long as it lives.
    """
    kept: list[str] = []
    for box in reversed(boxes):
        if box == FORGOTTEN or len(box) + sum(map(len, kept)) > most:
            return (FORGOTTEN, *reversed(kept))
        kept.append(box)
    return tuple(boxes)
