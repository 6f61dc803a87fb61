"""When those in a queue will start, as far as is known; pure.

What is known: when leases end and give their quota back, when a cloud's rest is over, when the
next may try a cloud's own quota. It may come earlier; later only when something else goes wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

#: Positions up to here are told as they are, and when they will start.
EXACT = 20


@dataclass(frozen=True)
class Return:
    """What a resource holds and gives back ``at`` a time: {quota name: amount}.

    Its lease ends then; where it is being removed already, that time is past.
    """

    at: datetime
    demand: Mapping[str, int]


def quota_starts(
    demands: Sequence[Mapping[str, int]],
    quota: Mapping[str, int],
    used: Mapping[str, int],
    returns: Sequence[Return],
) -> Iterator[datetime | None]:
    """Yield for each of a tenant's queue when the quota has room for it and all before it.

    ``returns``: the earliest first. None: leases alone don't make that room.
    """
    held, coming = dict(used), deque(returns)
    at: datetime | None = None
    for demand in demands:
        if not _fits(demand, quota, {}):
            yield None  # it will be refused, and holds up nobody
            continue
        while coming and not _fits(demand, quota, held):
            returned = coming.popleft()
            at = returned.at
            for name, amount in returned.demand.items():
                held[name] = held.get(name, 0) - amount
        yield at if _fits(demand, quota, held) else None
        for name, amount in demand.items():
            held[name] = held.get(name, 0) + amount


def _fits(demand: Mapping[str, int], quota: Mapping[str, int], held: Mapping[str, int]) -> bool:
    return all(
        held.get(name, 0) + amount <= quota[name]
        for name, amount in demand.items()
        if name in quota
    )


def shown_start(start: datetime | None, position: int, now: datetime) -> datetime | None:
    """The time as published: whole seconds, to come, and for exact positions only.

    Behind them each step of the queue would be news to everyone in it.
    """
    if start is None or start <= now or position > EXACT:
        return None
    return start.replace(microsecond=0)


def shown_position(position: int) -> int:
    """The position as published: exact at the front, rounded up behind, so that a long queue
    doesn't publish itself anew at every step forward.
    """
    if position <= EXACT:
        return position
    grain = 10 if position <= 100 else 100
    return -(-position // grain) * grain
