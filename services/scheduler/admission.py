"""Who may start, as a pure function: weighted fair sharing over tenants, first come first served
within one.

The next to start is always the head of the queue of the tenant that holds least in proportion to
its weight. A tenant at its quota waits without holding up the others; a request whose clouds are
busy, resting or full lets those behind it pass which may use other clouds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.scheduler.placement import Candidate, Choice, Wish, place
from shared.contract.problems import Problem, Reason

#: What its tenant alone can end: such a request stands in its tenant's queue.
_OF_THE_TENANT = frozenset({Reason.QUOTA_EXCEEDED, Reason.ADDRESSES_EXHAUSTED})


@dataclass(frozen=True)
class Waiting:
    """A resource that waits, in the order of arrival.

    ``refusals``: clouds that can't take it; ``left``: where something of it is being removed.
    """

    id: str
    tenant: str
    demand: Mapping[str, int]
    arch: str | None = None
    refusals: Mapping[str, Problem] = field(default_factory=dict)
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gate:
    """A cloud's own quota has refused this tenant; ``reason`` and ``words`` are the cloud's.

    ``tries`` requests may try again now (one for each that ended there or found room since), and
    one more at ``not_before``: the quota may be used by others than us.
    """

    reason: Reason
    words: str
    not_before: datetime
    tries: int = 0

    def open(self, now: datetime) -> bool:
        """Tell whether one may try."""
        return self.tries > 0 or self.not_before <= now


@dataclass(frozen=True)
class Share:
    """A tenant's limits, weight, and what it holds now: {quota name: amount}."""

    weight: float
    quota: Mapping[str, int]
    used: Mapping[str, int]
    clouds: tuple[str, ...]
    #: The clouds whose quota has refused it.
    gates: Mapping[str, Gate] = field(default_factory=dict)


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
    hopeless: tuple[tuple[str, Choice], ...] = ()
    #: Those that the whole quota could not hold, with the words for it.
    too_large: tuple[tuple[str, str], ...] = ()
    held: tuple[Held, ...] = ()
    #: (tenant, cloud) for each that tries a quota which has refused, and whether it was time.
    tried: tuple[tuple[str, str, bool], ...] = ()
    #: Clouds whose rest is over, and which one request now tries.
    probed: tuple[str, ...] = ()


@dataclass
class _Round:
    shares: dict[str, Share]
    clouds: dict[str, Candidate]
    now: datetime
    admitted: list[tuple[str, Choice]] = field(default_factory=list)
    hopeless: list[tuple[str, Choice]] = field(default_factory=list)
    too_large: list[tuple[str, str]] = field(default_factory=list)
    blocked: list[tuple[Waiting, Reason, str]] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    tried: list[tuple[str, str, bool]] = field(default_factory=list)
    probed: list[str] = field(default_factory=list)

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

    def over_quota(self, one: Waiting) -> str | None:
        share = self.shares[one.tenant]
        for name, amount in one.demand.items():
            limit, used = share.quota.get(name), share.used.get(name, 0)
            if limit is not None and used + amount > limit:
                return f"{used} of {limit} {name} in use."
        return None

    def choose(self, one: Waiting) -> Choice:
        share = self.shares[one.tenant]
        full = {c: (g.reason, g.words) for c, g in share.gates.items() if not g.open(self.now)}
        wish = Wish(one.arch, one.refusals, full, one.left)
        return place([self.clouds[name] for name in share.clouds if name in self.clouds], wish)

    def admit(self, one: Waiting, choice: Choice) -> None:
        if choice.placement is None:
            raise ValueError(f"{one.id} has no place")
        self.admitted.append((one.id, choice))
        cloud = self.clouds[choice.placement.cloud]
        if cloud.rest is not None:
            self.probed.append(cloud.cloud)
            cloud = replace(cloud, rest=replace(cloud.rest, tried=True))
        self.clouds[cloud.cloud] = replace(cloud, building=cloud.building + 1)
        self._use(one)
        self._try(one.tenant, cloud.cloud)

    def _use(self, one: Waiting) -> None:
        share = self.shares[one.tenant]
        used = dict(share.used)
        for name, amount in one.demand.items():
            used[name] = used.get(name, 0) + amount
        self.shares[one.tenant] = replace(share, used=used)

    def _try(self, tenant: str, cloud: str) -> None:
        share = self.shares[tenant]
        gate = share.gates.get(cloud)
        if gate is None:
            return
        timely = gate.tries == 0
        left = replace(gate, not_before=datetime.max.replace(tzinfo=self.now.tzinfo))
        gate = left if timely else replace(gate, tries=gate.tries - 1)
        self.shares[tenant] = replace(share, gates={**share.gates, cloud: gate})
        self.tried.append((tenant, cloud, timely))

    def hold_for_capacity(self) -> None:
        """Those that wait for capacity stand in one queue, by the same fair order."""
        queues: dict[str, deque[tuple[Waiting, Reason, str]]] = {}
        for entry in self.blocked:
            queues.setdefault(entry[0].tenant, deque()).append(entry)
        position = 0
        while queues:
            tenant = self.neediest(list(queues))
            one, reason, message = queues[tenant].popleft()
            position += 1
            self.held.append(Held(one.id, reason, message, position))
            self._use(one)
            if not queues[tenant]:
                del queues[tenant]


def admit(
    waiting: Sequence[Waiting],
    shares: Mapping[str, Share],
    clouds: Mapping[str, Candidate],
    now: datetime,
) -> Admission:
    """Decide who starts now, who can't start anywhere, and why the others wait."""
    this = _Round(dict(shares), dict(clouds), now)
    queues: dict[str, deque[Waiting]] = {}
    positions: dict[str, int] = dict.fromkeys(shares, 0)
    for one in waiting:
        queues.setdefault(one.tenant, deque()).append(one)
    while queues:
        tenant = this.neediest(list(queues))
        _decide(this, queues[tenant], positions)
        if not queues[tenant]:
            del queues[tenant]
    this.hold_for_capacity()
    return Admission(
        admitted=tuple(this.admitted),
        hopeless=tuple(this.hopeless),
        too_large=tuple(this.too_large),
        held=tuple(this.held),
        tried=tuple(this.tried),
        probed=tuple(this.probed),
    )


def _decide(this: _Round, queue: deque[Waiting], positions: dict[str, int]) -> None:
    """Take the head of a tenant's queue; over quota, the whole queue: nobody overtakes there."""
    head = queue.popleft()
    if (excess := this.excess(head)) is not None:
        this.too_large.append((head.id, excess))
        return
    if (words := this.over_quota(head)) is not None:
        for one in (head, *queue):
            positions[one.tenant] += 1
            this.held.append(Held(one.id, Reason.QUOTA_EXCEEDED, words, positions[one.tenant]))
        queue.clear()
        return
    choice = this.choose(head)
    if choice.placement is not None:
        this.admit(head, choice)
    elif choice.hopeless:
        this.hopeless.append((head.id, choice))
    elif choice.reason in _OF_THE_TENANT:
        positions[head.tenant] += 1
        this.held.append(Held(head.id, choice.reason, choice.message, positions[head.tenant]))
    else:
        this.blocked.append((head, choice.reason, choice.message))


def shown_position(position: int) -> int:
    """The position as published: exact at the front, rounded up behind, so that a long queue
    doesn't publish itself anew at every step forward.
    """
    if position <= 20:
        return position
    grain = 10 if position <= 100 else 100
    return -(-position // grain) * grain
