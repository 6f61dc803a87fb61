"""Which of the things in a backend nobody needs: the judgement, as pure functions (decision 0018).

What has ended is never made again (ids are not re-used), so that removing what bears its name is
right whenever it happens. All doubt is on the side of the living and the unknown: those stay.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.contract.resources import TERMINAL_PHASES, Phase

#: How long an order is left alone before the next one of the same object, by their number. The
#: first is longer than an order may take to start and end.
ORDER_AGAIN = (
    timedelta(minutes=3),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
)

#: What did not go although it was ordered so often is no longer waited for by what goes after it.
BLOCKING_ORDERS = 3


class Verdict(enum.StrEnum):
    """What is wrong with an object.

    ``orphan``: its resource has ended. ``surplus``: its resource lives, with another one in its
    place. ``unknown``: it bears our marks and the ledger doesn't know its resource.
    """

    ORPHAN = "orphan"
    SURPLUS = "surplus"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Seen:
    """An object in the last two censuses that showed it; ``seen_before`` is None after one.

    ``name`` and ``status`` are the backend's words, for an operator who has to find out what it is.
    """

    place: str
    what: str
    id: str
    tenant: str
    resource_id: str
    seen_at: datetime
    seen_before: datetime | None = None
    orders: int = 0
    order_after: datetime | None = None
    verdict: Verdict | None = None
    name: str | None = None
    status: str | None = None

    def twice_since(self, moment: datetime) -> bool:
        """Tell whether two censuses that were begun after ``moment`` have shown it."""
        return self.seen_before is not None and moment < self.seen_before < self.seen_at


@dataclass(frozen=True)
class Known:
    """What the ledger knows of a resource.

    ``changed_at``: when anything of it last changed, its end included. ``busy``: a command of its
    workflow is open. ``records``: {what: id}, what it holds for all that the ledger knows;
    ``whats``: the sorts of things that its kind is made of, in the order of their removal;
    ``places``: where they are.
    """

    kind: str
    tenant: str
    phase: Phase
    changed_at: datetime
    whats: Sequence[str]
    places: Sequence[str] = ()
    busy: bool = False
    records: Mapping[str, str] = field(default_factory=dict)
    #: Of what sorts it is never recorded which one it holds.
    unrecorded: frozenset[str] = frozenset()

    def has(self, seen: Seen) -> bool:
        """Tell whether this object is the one that the ledger records, or may be."""
        known = seen.what in self.unrecorded or self.records.get(seen.what) == seen.id
        return seen.place in self.places and known


def judge(seen: Seen, known: Known | None, margin: timedelta) -> Verdict | None:
    """Say what is wrong with an object; None: nothing, or it is too early to tell.

    ``margin`` must be longer than the clocks of scheduler and workers are apart: a census that
    was begun sooner after a change may have seen what was there before it.
    """
    if known is None or known.tenant != seen.tenant or seen.what not in known.whats:
        return Verdict.UNKNOWN
    if not seen.twice_since(known.changed_at + margin):
        return None
    if known.phase in TERMINAL_PHASES:
        return Verdict.ORPHAN
    if known.phase is Phase.ACTIVE and not known.busy and not known.has(seen):
        return Verdict.SURPLUS
    return None  # its workflow is at it


def removable(
    things: Sequence[Seen], known: Known | None, margin: timedelta, now: datetime
) -> list[Seen]:
    """Return which of one resource's things are to be removed now: those that must go first.

    Of the surplus that is what lies beside the recorded one, shown by the same censuses: that one
    stays. Where the recorded one is missing, the other may be what the tenant uses.
    """
    if known is None:
        return []
    kept = {one.what: one for one in things if known.has(one)}
    gone = [
        one
        for one in things
        if (verdict := judge(one, known, margin)) is Verdict.ORPHAN
        or (verdict is Verdict.SURPLUS and _replaced(one, kept.get(one.what), known))
    ]
    first = min(
        (known.whats.index(one.what) for one in gone if one.orders < BLOCKING_ORDERS),
        default=len(known.whats),
    )
    return [
        one
        for one in gone
        if known.whats.index(one.what) <= first
        and (one.order_after is None or one.order_after <= now)
    ]


def _replaced(one: Seen, kept: Seen | None, known: Known) -> bool:
    if one.place not in known.places:
        return True  # the resource lives elsewhere
    return kept is not None and (kept.seen_at, kept.seen_before) == (one.seen_at, one.seen_before)


def order_again(orders: int, now: datetime) -> datetime:
    """Return before when an object that was ordered to go ``orders`` times isn't ordered again."""
    return now + ORDER_AGAIN[min(orders, len(ORDER_AGAIN)) - 1]
