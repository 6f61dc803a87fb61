"""What a round of admission is about: who waits, what its tenant may have, what it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from services.scheduler.estimates import Return
from services.scheduler.needs import NOTHING_NEEDED, Needs
from shared.contract.kinds import KINDS, SIZES
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Sort

#: Refusals for want of a node, which no tenant has for itself.
OF_NODES = frozenset({Reason.NO_FREE_NODE, Reason.NODE_MAINTENANCE})


class Nodes(NamedTuple):
    """The nodes among which a metal's Ironic chooses one for a machine; ``arch`` "": any."""

    metal: str
    flavor: str
    arch: str = ""


class Capacity(NamedTuple):
    """How many such nodes are in service, and how many of them were free a moment ago."""

    total: int
    free: int


@dataclass(frozen=True)
class NodeInventory:
    """What nodes one metal has."""

    capacities: Mapping[Nodes, Capacity]

    def of(self, nodes: Nodes) -> Capacity:
        """Return how many of such nodes there are."""
        return self.capacities.get(nodes, Capacity(0, 0))

    def without(self, nodes: Nodes) -> NodeInventory:
        """It, when one such node is taken: that is also one of any arch."""
        fewer = {
            one: Capacity(total, max(0, free - 1))
            for one, (total, free) in self.capacities.items()
            if one in {nodes, nodes._replace(arch="")}
        }
        return NodeInventory({**self.capacities, **fewer})


@dataclass(frozen=True)
class Waiting:
    """A resource that waits, in the order of arrival.

    ``refusals``: clouds that can't take it; ``left``: where something of it is being removed.
    ``needs``: how it stands with the other resources that it names.
    """

    id: str
    tenant: str
    demand: Mapping[str, int]
    arch: str | None = None
    flavor: str | None = None
    refusals: Mapping[str, Problem] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    kind: str = "vm"
    #: It says something of networks.
    networked: bool = False
    needs: Needs = NOTHING_NEEDED

    @property
    def sort(self) -> Sort:
        """The sort of place that it is put on."""
        return KINDS[self.kind].sort

    def nodes(self, place: str) -> Nodes:
        """What it would have of a place, where that is a metal."""
        return Nodes(place, self.flavor or "", self.arch or "")


@dataclass(frozen=True)
class Gate:
    """A cloud's own quota has refused a tenant, or a metal has had no free node for anybody.

    ``reason`` and ``words`` are the backend's.
    ``tries`` requests may try again now (one for each that ended there or found room since), and
    one more at ``not_before``: the quota may be used by others than us.
    """

    reason: Reason
    words: str
    not_before: datetime
    tries: int = 0
    #: One tries now, at its time: when the next may is known when that has its answer.
    tried: bool = False

    def open(self, now: datetime) -> bool:
        """Tell whether one may try."""
        return self.tries > 0 or (self.not_before <= now and not self.tried)

    @property
    def timely(self) -> bool:
        """Whoever tries now does so because it is time."""
        return self.tries == 0

    def passed(self) -> Gate:
        """It, when one more tries now."""
        return replace(self, tried=True) if self.timely else replace(self, tries=self.tries - 1)


@dataclass(frozen=True)
class Share:
    """A tenant's limits, weight, and what it holds now: {quota name: amount}."""

    weight: float
    quota: Mapping[str, int]
    used: Mapping[str, int]
    #: Where it may have something, by sort.
    places: Mapping[Sort, tuple[str, ...]]
    #: The clouds whose quota has refused it.
    gates: Mapping[str, Gate] = field(default_factory=dict)
    #: What will be given back by itself, the earliest first.
    returns: Sequence[Return] = ()

    @property
    def holds(self) -> int:
        """How many things it holds, of whatever size."""
        return sum(amount for name, amount in self.used.items() if name not in SIZES)

    def falls_short(self, queue: Sequence[Waiting]) -> bool:
        """Tell whether its quota has no room for all of its queue."""
        asked = sum((Counter(one.demand) for one in queue), Counter(self.used))
        return any(asked[name] > limit for name, limit in self.quota.items())


@dataclass(frozen=True)
class Held:
    """One that goes on waiting: why, and its place (in its tenant's queue where that is why).

    ``estimated_start``: when it will start at the latest, as far as is known now.
    """

    id: str
    reason: Reason
    message: str
    position: int
    estimated_start: datetime | None = None
