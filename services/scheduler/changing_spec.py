"""Changes of a living resource's spec, kept while their operation has not ended. Pure.

What is asked for becomes the spec only when it is done: a spec says what is there.
"""

from __future__ import annotations

from typing import Any

from services.scheduler.state import ResourceState, SpecChange
from services.scheduler.walk import Walk
from shared.contract.kinds import KINDS, SEALED
from shared.contract.messages import RequestSubmitted

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


def apply(walk: Walk, operation_id: str) -> None:
    """The operation is done: its change is now what is there."""
    if operation_id in walk.state.changes:
        walk.change_resource(spec=spec_after(walk.state, operation_id))


def forget(walk: Walk, operation_id: str) -> None:
    """The operation has ended, however."""
    if operation_id in walk.state.changes:
        left = {name: one for name, one in walk.state.changes.items() if name != operation_id}
        walk.change(changes=left)
