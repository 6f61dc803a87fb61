"""Who may start, as a pure function: weighted fair sharing over tenants, first come first served
within one.

The next to start is always the head of the queue of the tenant that holds least in proportion to
its weight. A tenant at its quota, or whose head the cloud's own quota has just refused, waits
without holding up the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.scheduler.placement import Candidate, Choice, place
from shared.contract.problems import Reason


@dataclass(frozen=True)
class Waiting:
    """A resource that waits, in the order of arrival."""

    id: str
    tenant: str
    demand: Mapping[str, int]
    excluded: tuple[str, ...] = ()
    refused_at: datetime | None = None
    not_before: datetime | None = None
    #: What the resource says already: after a refusal, the cloud's own words.
    reason: Reason | None = None
    message: str | None = None


@dataclass(frozen=True)
class Share:
    """A tenant's limits, weight, and what it holds now: {quota name: amount}."""

    weight: float
    quota: Mapping[str, int]
    used: Mapping[str, int]
    clouds: tuple[str, ...]
    #: When something of the tenant last ended.
    released_at: datetime | None = None

    def released_since(self, moment: datetime | None) -> bool:
        """Tell whether something of the tenant has ended since ``moment``."""
        if self.released_at is None or moment is None:
            return False
        return self.released_at > moment


@dataclass(frozen=True)
class Held:
    """One that goes on waiting: why, and its place (in its tenant's queue where that is why)."""

    id: str
    reason: Reason
    message: str
    position: int


@dataclass(frozen=True)
class Admission:
    """The outcome of one round."""

    admitted: tuple[tuple[str, Choice], ...] = ()
    hopeless: tuple[str, ...] = ()
    #: Those that the whole quota could not hold, with the words for it.
    too_large: tuple[tuple[str, str], ...] = ()
    held: tuple[Held, ...] = ()


@dataclass
class _Round:
    shares: dict[str, Share]
    clouds: dict[str, Candidate]
    now: datetime
    admitted: list[tuple[str, Choice]] = field(default_factory=list)
    hopeless: list[str] = field(default_factory=list)
    too_large: list[tuple[str, str]] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)

    def neediest(self, tenants: Sequence[str]) -> str:
        def holds(tenant: str) -> tuple[float, str]:
            share = self.shares[tenant]
            return sum(share.used.values()) / share.weight, tenant

        return min(tenants, key=holds)

    def excess(self, one: Waiting) -> str | None:
        """What it would wait for without end, and its tenant's queue behind it."""
        quota = self.shares[one.tenant].quota
        for name, amount in one.demand.items():
            if amount > quota.get(name, amount):
                return f"The quota of {quota[name]} {name} can't hold {amount}."
        return None

    def obstacle(self, one: Waiting) -> tuple[Reason, str] | None:
        share = self.shares[one.tenant]
        early = one.not_before is not None and one.not_before > self.now
        if early and not share.released_since(one.refused_at):
            return one.reason or Reason.QUOTA_EXCEEDED, one.message or "Refused by the cloud."
        for name, amount in one.demand.items():
            limit, used = share.quota.get(name), share.used.get(name, 0)
            if limit is not None and used + amount > limit:
                return Reason.QUOTA_EXCEEDED, f"{used} of {limit} {name} in use."
        return None

    def candidates(self, one: Waiting) -> list[Candidate]:
        share = self.shares[one.tenant]
        return [self.clouds[name] for name in share.clouds if name in self.clouds]

    def admit(self, one: Waiting, choice: Choice) -> None:
        if choice.placement is None:
            raise ValueError(f"{one.id} has no place")
        self.admitted.append((one.id, choice))
        cloud = self.clouds[choice.placement.cloud]
        self.clouds[cloud.cloud] = replace(cloud, building=cloud.building + 1)
        share = self.shares[one.tenant]
        used = dict(share.used)
        for name, amount in one.demand.items():
            used[name] = used.get(name, 0) + amount
        self.shares[one.tenant] = replace(share, used=used)


def admit(
    waiting: Sequence[Waiting],
    shares: Mapping[str, Share],
    clouds: Mapping[str, Candidate],
    now: datetime,
) -> Admission:
    """Decide who starts now, who can't start anywhere, and why the others wait."""
    this = _Round(dict(shares), dict(clouds), now)
    queues: dict[str, deque[Waiting]] = {}
    for one in waiting:
        queues.setdefault(one.tenant, deque()).append(one)
    blocked: list[tuple[Waiting, Reason, str]] = []
    while queues:
        tenant = this.neediest(list(queues))
        head = queues[tenant][0]
        obstacle = this.obstacle(head)
        choice = place(this.candidates(head), head.excluded)
        if (excess := this.excess(head)) is not None:
            this.too_large.append((head.id, excess))
        elif obstacle is None and choice.placement is not None:
            this.admit(head, choice)
        elif obstacle is None and choice.hopeless:
            this.hopeless.append(head.id)
        else:
            _hold_queue(this, queues.pop(tenant), obstacle, blocked)
            continue
        queues[tenant].popleft()
        if not queues[tenant]:
            del queues[tenant]
    _hold_for_capacity(this, blocked)
    return Admission(
        tuple(this.admitted), tuple(this.hopeless), tuple(this.too_large), tuple(this.held)
    )


def _hold_queue(
    this: _Round,
    queue: deque[Waiting],
    obstacle: tuple[Reason, str] | None,
    blocked: list[tuple[Waiting, Reason, str]],
) -> None:
    """The head can't start, so nobody behind it in its tenant's queue does."""
    if obstacle is None:
        message = "All clouds of the tenant are busy building."
        blocked.extend((one, Reason.NO_CAPACITY, message) for one in queue)
        return
    reason, message = obstacle
    for position, one in enumerate(queue, start=1):
        this.held.append(Held(one.id, reason, message, position))


def _hold_for_capacity(this: _Round, blocked: list[tuple[Waiting, Reason, str]]) -> None:
    """Those that wait for capacity stand in one queue, by the same fair order."""
    queues: dict[str, deque[tuple[Waiting, Reason, str]]] = {}
    for entry in blocked:
        queues.setdefault(entry[0].tenant, deque()).append(entry)
    position = 0
    while queues:
        tenant = this.neediest(list(queues))
        one, reason, message = queues[tenant].popleft()
        position += 1
        this.held.append(Held(one.id, reason, message, position))
        share = this.shares[tenant]
        used = dict(share.used)
        for name, amount in one.demand.items():
            used[name] = used.get(name, 0) + amount
        this.shares[tenant] = replace(share, used=used)
        if not queues[tenant]:
            del queues[tenant]


def shown_position(position: int) -> int:
    """The position as published: exact at the front, rounded up behind, so that a long queue
    doesn't publish itself anew at every step forward.
    """
    if position <= 20:
        return position
    grain = 10 if position <= 100 else 100
    return -(-position // grain) * grain
