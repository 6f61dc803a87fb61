"""What a stack is made of, as it is told: named, timed by Heat's events, bounded. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from services.stack_worker.backend import Part, PartEvent
from shared.contract.messages import StackPart

#: How many parts are told of, and how much of a reason: each status message carries them.
MOST_PARTS = 100
_LONGEST = 500
_DELETED = "DELETE_COMPLETE"
#: A part whose action it is, by its stack, its name there and the action: began, ended.
_Times = Mapping[tuple[str, str, str], tuple[datetime | None, datetime | None]]


def told(
    parts: Sequence[Part],
    events: Sequence[PartEvent] = (),
    masked: Callable[[str], str] = str,
) -> tuple[tuple[StackPart, ...], int]:
    """Return the parts that are told of, in Heat's order, and how many there are besides.

    ``events`` come with the oldest first; ``masked`` tells a reason without secrets.
    """
    paths, times = paths_of(parts), _times_of(events)
    ranks = sorted(range(len(parts)), key=lambda at: (_rank(parts[at]), at))
    chosen = sorted(ranks[:MOST_PARTS])
    return tuple(_told(parts[at], paths[at], times, masked) for at in chosen), len(parts) - len(
        chosen
    )


def standing(parts: Sequence[Part]) -> list[Part]:
    """Return those that there are: Heat says that all is complete, and drops the deleted then."""
    return [one for one in parts if one.status != _DELETED]


def paths_of(parts: Sequence[Part]) -> list[str]:
    """Return a name for each that no other has: members of groups are called 0, 1, … in each."""
    nested = {one.physical_id: one for one in parts if one.physical_id}
    paths: list[str] = []
    for part in parts:
        path, within, passed = part.name, nested.get(part.stack_id), {part}
        # A template may have a part say that it is the very stack it is in.
        while within is not None and within not in passed:
            passed.add(within)
            path, within = f"{within.name}/{path}", nested.get(within.stack_id)
        paths.append(path)
    return paths


def _rank(part: Part) -> int:
    """What says most is told of first."""
    if part.status.endswith("_FAILED"):
        return 0
    return 2 if part.status.endswith("_COMPLETE") else 1


def _told(part: Part, path: str, times: _Times, masked: Callable[[str], str]) -> StackPart:
    action, failed = _action(part.status), part.status.endswith("_FAILED")
    began, ended = times.get((part.stack_id, part.name, action), (None, None))
    return StackPart(
        name=path,
        type=part.type,
        status=part.status,
        reason=masked(part.reason)[:_LONGEST] or None if failed else None,
        started_at=began,
        # It may have ended since the parts were asked for.
        finished_at=None if part.status.endswith("_IN_PROGRESS") else ended,
    )


def _times_of(events: Sequence[PartEvent]) -> _Times:
    times: dict[tuple[str, str, str], tuple[datetime | None, datetime | None]] = {}
    for one in events:
        key = (one.stack_id, one.name, _action(one.status))
        began, _ = times.get(key, (None, None))
        in_progress = one.status.endswith("_IN_PROGRESS")
        times[key] = (one.at, None) if in_progress else (began, one.at)
    return times


def _action(status: str) -> str:
    return status.partition("_")[0]
