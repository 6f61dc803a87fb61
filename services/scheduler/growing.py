"""The growth of a living volume: what it asks for, counts for, and what stands against it. Pure.

What a volume counts for against its tenant's quota follows from what is kept of it: its spec, and
the growth that has not ended. So a growth is counted with its request, for good with its end, and
not any more when it fails or the volume goes, each in the transaction that records just that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from shared.contract.kinds import GIB, demand_of, least_size_gib
from shared.contract.messages import RequestSubmitted
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Operation, OperationState, Resource

#: States of an operation that has not ended.
OPEN = frozenset({OperationState.REQUESTED, OperationState.RUNNING})


@dataclass(frozen=True)
class Room:
    """What a tenant may hold (None: without bound), and holds, of one quota."""

    limit: int | None
    used: int


def size_asked(request: RequestSubmitted) -> int | None:
    """The size (GiB) that an update asks for; other requests ask for none."""
    size: int | None = request.spec.get("size_gib")
    return size


def demand(resource: Resource) -> dict[str, int]:
    """What it counts for: {quota name: amount}."""
    growing = [one.size_gib or 0 for one in resource.status.operations if one.state in OPEN]
    return demand_of(resource.kind, _grown(resource.spec, max(growing, default=0)))


def _grown(spec: dict[str, Any], size_gib: int) -> dict[str, Any]:
    return {**spec, "size_gib": size_gib} if size_gib > (spec.get("size_gib") or 0) else spec


def too_small(resource: Resource, size_gib: int) -> str | None:
    """Why a volume can't have this size; None: it can."""
    least = least_size_gib(resource.spec, resource.status.outputs)
    return f"A volume only grows: at least {least} is expected." if size_gib < least else None


def refusal(before: Resource, operation: Operation, room: Room) -> Problem | None:
    """Why a growth, not yet among the operations of ``before``, can't be; None: it can."""
    size = operation.size_gib or 0
    if (words := too_small(before, size)) is not None:
        return bad_size(words)
    status = msgspec.structs.replace(
        before.status, operations=(*before.status.operations, operation)
    )
    after = demand(msgspec.structs.replace(before, status=status))
    more = after["volume_gib"] - demand(before).get("volume_gib", 0)
    if room.limit is None or more <= 0 or room.used + more <= room.limit:
        return None
    return Problem(
        title="Over the quota",
        detail=f"{room.used} of {room.limit} volume_gib in use: {more} more are too many.",
        reason=Reason.QUOTA_EXCEEDED,
        retryable=True,
    )


def bad_size(words: str) -> Problem:
    """The problem of a growth to a size that can't be."""
    return Problem(title="Bad size", detail=f"size_gib: {words}", reason=Reason.SIZE_TOO_SMALL)


def spec_when_done(resource: Resource, operation: Operation) -> dict[str, Any]:
    """The spec of a volume when this growth is done."""
    return _grown(resource.spec, operation.size_gib or 0)


def spec_as_seen(resource: Resource) -> dict[str, Any]:
    """The spec by what the store shows: a growth that failed unanswered may have been done."""
    shown = resource.status.outputs.get("size_bytes") or 0
    done = [
        size
        for one in resource.status.operations
        if one.state is OperationState.FAILED and (size := one.size_gib or 0) * GIB <= shown
    ]
    return _grown(resource.spec, max(done, default=0))
