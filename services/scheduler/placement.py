"""Where a resource goes, as a pure function: candidates → a choice and its explanation."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from services.scheduler.queues import Capacity
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Placement, Sort


class FreeNodes(enum.IntEnum):
    """Whether a metal has a node for one request, as far as is known; the best comes first."""

    SOME = enum.auto()
    UNKNOWN = enum.auto()
    NONE = enum.auto()


class Standing(enum.Enum):
    """How a cloud stands to one request."""

    #: A rest is over: one request tries whether the cloud can be used again.
    PROBE = enum.auto()
    FREE = enum.auto()
    BUSY = enum.auto()
    #: The cloud's own quota for this tenant has refused, and nothing has changed since.
    FULL = enum.auto()
    RESTING = enum.auto()
    #: It can never take the request.
    UNSUITABLE = enum.auto()


_CAN_START = frozenset({Standing.PROBE, Standing.FREE})
#: What to wait for, the nearest first.
_OBSTACLES = (Standing.BUSY, Standing.FULL, Standing.RESTING)


@dataclass(frozen=True)
class Rest:
    """A cloud that kept failing. ``words`` say until when it rests, and after what.

    ``over``: one request may try it; ``tried``: one does so now; else it lasts ``until``.
    """

    words: str
    over: bool = False
    tried: bool = False
    until: datetime | None = None


@dataclass(frozen=True)
class Candidate:
    """A place that the tenant may use: what is built there, and how it has been doing.

    ``placement`` is what a resource gets that is placed there, but for the explanation.
    """

    placement: Placement
    building: int
    limit: int
    recent_failures: int = 0
    #: The architectures it has, in Nova's words; none declared: none that could be asked for.
    archs: frozenset[str] = frozenset()
    rest: Rest | None = None

    @property
    def place(self) -> str:
        """Its name."""
        return self.placement.place

    @property
    def free(self) -> int:
        """How many more may be built there now."""
        return max(0, self.limit - self.building)


@dataclass(frozen=True)
class Wish:
    """What one request asks of a cloud, and what the clouds have said to it so far.

    ``refusals``: clouds that can't ever take it, with their words; ``full``: clouds whose quota
    for the tenant refuses for now, and ``again``, when the next may try there, where that is known;
    ``left``: clouds where something of it is still being removed.
    """

    arch: str | None = None
    refusals: Mapping[str, Problem] = field(default_factory=dict)
    full: Mapping[str, tuple[Reason, str]] = field(default_factory=dict)
    again: Mapping[str, datetime] = field(default_factory=dict)
    left: Sequence[str] = ()
    #: Metals that had no such node free when one was last tried for.
    scarce: Collection[str] = ()
    #: How many such nodes metals have, where that is known.
    capacities: Mapping[str, Capacity] = field(default_factory=dict)
    sort: Sort = Sort.CLOUD
    #: It says something of networks, which not every metal has.
    networked: bool = False


@dataclass(frozen=True)
class Judgement:
    """How one candidate stands to one request, why, and the reason to show when it waits for it.

    ``until``: how long that stands in the way, where it is known.
    """

    candidate: Candidate
    standing: Standing
    words: str
    reason: Reason = Reason.NO_CAPACITY
    until: datetime | None = None
    #: How many more such things it has room for.
    room: int = 0
    free_nodes: FreeNodes = FreeNodes.UNKNOWN

    @property
    def line(self) -> str:
        """The explanation's line for this candidate."""
        return f"{self.candidate.place}: {self.words}"


@dataclass(frozen=True)
class Choice:
    """The outcome: a placement, or None with what stands in the way (``reason``, ``message``).

    ``alternatives`` are the other clouds that may take it, now or later. ``until``: how long what
    stands in the way does so, where it is known; then it is the first request's turn.
    """

    placement: Placement | None
    alternatives: tuple[str, ...] = ()
    #: True when no cloud is left to wait for.
    hopeless: bool = False
    reason: Reason = Reason.NO_CLOUD
    message: str = ""
    until: datetime | None = None


def place(candidates: Sequence[Candidate], wish: Wish | None = None) -> Choice:
    """Choose the cloud with the fewest recent failures, then the most room, then the first.

    Of metals that have failed no more often one that is known to have a free node comes first, and
    one that seems to have none comes last.
    One whose rest is over comes before all others, for the one request that tries it.
    """
    wish = wish or Wish()
    judged = [judge(one, wish) for one in candidates]
    possible = [one for one in judged if one.standing is not Standing.UNSUITABLE]
    able = [one for one in possible if one.standing in _CAN_START]
    if not able:
        return _no_place(judged, possible, wish.sort)
    best = min(able, key=_preference)  # the first of equals
    explanation = tuple(_explain(one, best) for one in judged)
    others = tuple(one.candidate.place for one in possible if one is not best)
    placement = msgspec.structs.replace(best.candidate.placement, explanation=explanation)
    return Choice(placement, others)


def _preference(one: Judgement) -> tuple[bool, int, FreeNodes, int]:
    probe = one.standing is Standing.PROBE
    return not probe, one.candidate.recent_failures, one.free_nodes, -one.room


def _explain(one: Judgement, best: Judgement) -> str:
    if one is best:
        return f"{one.candidate.place}: chosen: {one.words}"
    if one.standing is Standing.FREE:
        return f"{one.candidate.place}: not chosen: {one.words}"
    return one.line


#: What is said where there is nothing to choose from.
_NOWHERE = {
    Sort.CLOUD: (Reason.NO_CLOUD, "The tenant has no project on any cloud."),
    Sort.STORE: (Reason.NO_STORE, "There is no store for volumes here."),
    Sort.METAL: (Reason.NO_METAL, "There is no bare metal here."),
}


def _no_place(judged: Sequence[Judgement], possible: Sequence[Judgement], sort: Sort) -> Choice:
    if not possible:
        none, nowhere = _NOWHERE[sort]
        reasons = [one.reason for one in judged if one.reason is not none]
        message = "; ".join(one.line for one in judged) or nowhere
        reason = reasons[-1] if reasons else none
        return Choice(None, hopeless=True, reason=reason, message=message)
    nearest = min(possible, key=lambda one: _OBSTACLES.index(one.standing))
    message = nearest.words if len(judged) == 1 else "; ".join(one.line for one in judged)
    ends = [one.until for one in possible if one.standing is nearest.standing and one.until]
    until = min(ends, default=None)
    return Choice(None, reason=nearest.reason, message=message, until=until)


def judge(one: Candidate, wish: Wish) -> Judgement:
    """Tell how a cloud stands to a request."""
    if (refusal := wish.refusals.get(one.place)) is not None:
        reason = Reason(refusal.reason) if refusal.reason in set(Reason) else Reason.NO_CLOUD
        words = f"refused it: {reason.value}: {refusal.detail or refusal.title}"
        return Judgement(one, Standing.UNSUITABLE, words, reason)
    if wish.networked and one.placement.cloud is None:
        words = "has no networks of tenants, so neither ports nor floating IPs"
        return Judgement(one, Standing.UNSUITABLE, words, Reason.NO_METAL)
    if wish.arch is not None and (fault := _lacks(one, wish.arch)):
        return Judgement(one, Standing.UNSUITABLE, fault, Reason.NO_CLOUD)
    if one.rest is not None and not (one.rest.over and not one.rest.tried):
        reason, until = Reason.BACKEND_UNAVAILABLE, one.rest.until
        return Judgement(one, Standing.RESTING, one.rest.words, reason, until)
    if one.place in wish.full:
        reason, words = wish.full[one.place]
        return Judgement(one, Standing.FULL, words, reason, wish.again.get(one.place))
    if one.place in wish.left:
        return Judgement(one, Standing.BUSY, "what it had there is still being removed")
    if one.free == 0:
        words = f"{one.building} of {one.limit} builds under way"
        return Judgement(one, Standing.BUSY, words)
    if one.rest is not None:
        return Judgement(one, Standing.PROBE, one.rest.words, room=one.free)
    words = (
        f"room for {one.free} of {one.limit} builds, "
        f"{one.recent_failures} recent failure{'' if one.recent_failures == 1 else 's'}"
    )
    room, refused = one.free, one.place in wish.scarce
    words += ", had no free node of late" if refused else ""
    free_nodes = FreeNodes.NONE if refused else FreeNodes.UNKNOWN
    if (capacity := wish.capacities.get(one.place)) is not None:
        words += f", {capacity.free} of {capacity.total} such nodes free"
        free_nodes = FreeNodes.SOME if capacity.free else FreeNodes.NONE
        room = min(room, capacity.free) or room
    return Judgement(one, Standing.FREE, words, room=room, free_nodes=free_nodes)


def _lacks(one: Candidate, arch: str) -> str | None:
    if not one.archs:
        return f"not known to have {arch}: the tenants file declares no archs for it"
    if arch not in one.archs:
        return f"has {', '.join(sorted(one.archs))}, not {arch}"
    return None
