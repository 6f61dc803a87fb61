"""Who may start, as a pure function: weighted fair sharing over tenants, first come first served
within one.

The next to start is always the head of the queue of the tenant that holds least in proportion to
its weight. A tenant at its quota waits without holding up the others; a request whose clouds are
busy, resting or full lets those behind it pass which may use other clouds. A free node goes to the
next of all tenants in the same order, and who waits for one lets those pass who want another sort.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.scheduler.estimates import quota_starts, shown_start
from services.scheduler.placement import Candidate, Choice, Wish, place
from services.scheduler.queues import OF_NODES, Gate, Held, NodeInventory, Nodes, Share, Waiting
from shared.contract.problems import Reason

#: What its tenant alone can end: such a request stands in its tenant's queue.
_OF_THE_TENANT = frozenset({Reason.QUOTA_EXCEEDED, Reason.ADDRESSES_EXHAUSTED})


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
    #: The same of each that tries for a node of which there was none free.
    tried_nodes: tuple[tuple[Nodes, bool], ...] = ()
    #: How many machines are sent for which nodes.
    sent: Mapping[Nodes, int] = field(default_factory=dict)
    #: Clouds whose rest is over, and which one request now tries.
    probed: tuple[str, ...] = ()


@dataclass
class _Round:
    shares: dict[str, Share]
    clouds: dict[str, Candidate]
    now: datetime
    scarce: dict[Nodes, Gate] = field(default_factory=dict)
    inventories: dict[str, NodeInventory] = field(default_factory=dict)
    admitted: list[tuple[str, Choice]] = field(default_factory=list)
    hopeless: list[tuple[str, Choice]] = field(default_factory=list)
    too_large: list[tuple[str, str]] = field(default_factory=list)
    blocked: list[tuple[Waiting, Choice]] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    tried: list[tuple[str, str, bool]] = field(default_factory=list)
    tried_nodes: list[tuple[Nodes, bool]] = field(default_factory=list)
    sent: Counter[Nodes] = field(default_factory=Counter)
    probed: list[str] = field(default_factory=list)

    def neediest(self, tenants: Sequence[str]) -> str:
        def holds(tenant: str) -> tuple[float, str]:
            share = self.shares[tenant]
            return share.holds / share.weight, tenant

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
        names = [name for name in share.places.get(one.sort, ()) if one.needs.place in (None, name)]
        scarce = {
            name: self.scarce[key] for name in names if (key := one.nodes(name)) in self.scarce
        }
        closed = self._closed(scarce) | self._closed(share.gates)  # told of is its tenant's own
        wish = Wish(
            arch=one.arch,
            refusals=one.refusals,
            full={c: (gate.reason, gate.words) for c, gate in closed.items()},
            again={c: gate.not_before for c, gate in closed.items() if not gate.tried},
            left=one.left,
            scarce=scarce.keys(),
            capacities={
                name: self.inventories[name].of(one.nodes(name))
                for name in names
                if name in self.inventories
            },
            sort=one.sort,
            networked=one.networked,
        )
        return place([self.clouds[name] for name in names if name in self.clouds], wish)

    def _closed(self, gates: Mapping[str, Gate]) -> dict[str, Gate]:
        return {name: gate for name, gate in gates.items() if not gate.open(self.now)}

    def admit(self, one: Waiting, choice: Choice) -> None:
        if choice.placement is None:
            raise ValueError(f"{one.id} has no place")
        self.admitted.append((one.id, choice))
        cloud = self.clouds[choice.placement.place]
        if cloud.rest is not None:
            self.probed.append(cloud.place)
            cloud = replace(cloud, rest=replace(cloud.rest, tried=True))
        self.clouds[cloud.place] = replace(cloud, building=cloud.building + 1)
        self._use(one)
        self._try(one.tenant, cloud.place)
        self._try_nodes(one.nodes(cloud.place))

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
        self.shares[tenant] = replace(share, gates={**share.gates, cloud: gate.passed()})
        self.tried.append((tenant, cloud, gate.timely))

    def _try_nodes(self, nodes: Nodes) -> None:
        inventory = self.inventories.get(nodes.metal)
        if inventory is not None:
            self.inventories[nodes.metal] = inventory.without(nodes)
            self.sent[nodes] += 1
        gate = self.scarce.get(nodes)
        if gate is not None:
            self.scarce[nodes] = gate.passed()
            self.tried_nodes.append((nodes, gate.timely))

    def hold(
        self, one: Waiting, reason: Reason, words: str, position: int, start: datetime | None
    ) -> None:
        start = shown_start(start, position, self.now)
        self.held.append(Held(one.id, reason, words, position, start))

    def hold_for_quota(self, queue: Sequence[Waiting], words: str, position: int) -> None:
        """All of a tenant's queue, which begins at this position."""
        share = self.shares[queue[0].tenant]
        demands = [one.demand for one in queue]
        starts = quota_starts(demands, share.quota, share.used, share.returns)
        for number, (one, start) in enumerate(zip(queue, starts, strict=True), start=position):
            self.hold(one, Reason.QUOTA_EXCEEDED, words, number, start)

    def hold_for_cloud(self, one: Waiting, choice: Choice, position: int) -> None:
        """Only who is next can tell when that is."""
        start = choice.until if position == 1 else None
        self.hold(one, choice.reason, choice.message, position, start)

    def hold_for_capacity(self) -> None:
        """Those that wait for capacity stand in one queue, those for the same nodes in another."""
        alike: dict[tuple[str | None, ...], list[tuple[Waiting, Choice]]] = {}
        for one, choice in self.blocked:
            nodes = (one.flavor, one.arch) if choice.reason in OF_NODES else ()
            alike.setdefault(nodes, []).append((one, choice))
        shares = self.shares
        for entries in alike.values():
            self.shares = dict(shares)
            self._hold_in_turn(entries)

    def _hold_in_turn(self, entries: Sequence[tuple[Waiting, Choice]]) -> None:
        """All tenants' together, by the same fair order in which they will start."""
        queues: dict[str, deque[tuple[Waiting, Choice]]] = {}
        for entry in entries:
            queues.setdefault(entry[0].tenant, deque()).append(entry)
        position = 0
        while queues:
            tenant = self.neediest(list(queues))
            one, choice = queues[tenant].popleft()
            position += 1
            self.hold_for_cloud(one, choice, position)
            self._use(one)
            if not queues[tenant]:
                del queues[tenant]


def admit(
    waiting: Sequence[Waiting],
    shares: Mapping[str, Share],
    clouds: Mapping[str, Candidate],
    now: datetime,
    scarce: Mapping[Nodes, Gate] | None = None,
    inventories: Mapping[str, NodeInventory] | None = None,
) -> Admission:
    """Decide who starts now, who can't start anywhere, and why the others wait.

    ``scarce``: nodes of which there was none free; ``inventories``: what is known of metals' nodes.
    """
    this = _Round(dict(shares), dict(clouds), now, dict(scarce or {}), dict(inventories or {}))
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
        tried_nodes=tuple(this.tried_nodes),
        sent=this.sent,
        probed=tuple(this.probed),
    )


def _decide(this: _Round, queue: deque[Waiting], positions: dict[str, int]) -> None:
    """Take the head of a tenant's queue; over quota, all of its kind: nobody overtakes there."""
    head = queue.popleft()
    if (excess := this.excess(head)) is not None:
        this.too_large.append((head.id, excess))
        return
    if head.needs.missing is not None:
        lost = Choice(
            None, hopeless=True, reason=Reason.REFERENCE_NOT_FOUND, message=head.needs.missing
        )
        this.hopeless.append((head.id, lost))
        return
    if head.needs.apart is not None:
        choice = Choice(None, hopeless=True, reason=Reason.NO_STORE, message=head.needs.apart)
        this.hopeless.append((head.id, choice))
        return
    if head.needs.unready is not None:
        this.hold(head, Reason.REFERENCE_NOT_READY, head.needs.unready, 1, None)
        return
    if (words := this.over_quota(head)) is not None:
        alike = [one for one in queue if one.kind == head.kind]
        others = [one for one in queue if one.kind != head.kind]
        this.hold_for_quota([head, *alike], words, positions[head.tenant] + 1)
        positions[head.tenant] += 1 + len(alike)
        queue.clear()
        queue.extend(others)
        return
    choice = this.choose(head)
    if choice.placement is not None:
        this.admit(head, choice)
    elif choice.hopeless:
        this.hopeless.append((head.id, choice))
    elif choice.reason in _OF_THE_TENANT:
        positions[head.tenant] += 1
        this.hold_for_cloud(head, choice, positions[head.tenant])
    else:
        this.blocked.append((head, choice))
