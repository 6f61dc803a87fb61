"""What there is to be judged: everything that was found, in all places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from colobus.models import Phase
from tests.faults.plan import Plan


@dataclass(frozen=True)
class Row:
    """A resource as the ledger or the read model has it."""

    id: str
    tenant: str
    phase: Phase
    revision: int
    reason: str | None = None


@dataclass(frozen=True)
class Told:
    """One status of a resource: in the timeline, on a stream, or in a webhook."""

    resource_id: str
    sequence: int
    phase: Phase


@dataclass(frozen=True)
class Held:
    """One object in cloud, metal or store, of a resource of ours. ``what``: server, node, port, …

    ``on`` is what it serves: the server of a port, the port of a floating IP, the node of an
    allocation or of a system that is logged in.
    """

    what: str
    id: str
    resource_id: str
    on: str | None = None
    status: str | None = None


@dataclass(frozen=True)
class Common:
    """A part of a tenant's default network, which serves all that the tenant has.

    ``what``: network, subnet or router; ``on``: the network of the subnet, or that the router leads
    into. ``tenant`` is no tenant's name where the project is none's.
    """

    what: str
    id: str
    tenant: str
    on: str | None = None


@dataclass(frozen=True)
class Instance:
    """One server as Nova's own database knows it, deleted or not; or a machine's node, as Ironic's.

    ``launched``: it once came out of BUILD; ``fault``: what Nova said when it put it in ERROR, or
    what Ironic's history of the node has as an error.
    """

    resource_id: str
    launched: bool
    fault: str | None = None


@dataclass(frozen=True)
class Reservation:
    """A machine's hold on a node, as the ledger told it; times are those of RFC 3339.

    ``until``: when it was first told that the node is being given back; None: it never was.
    """

    resource_id: str
    node: str
    since: str
    until: str | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything that was found, of this seed's requests and of what else came since.

    ``answers``: {idempotency key: ids answered}; ``left_over``: {place: how many of what should
    have passed: timers, outbox rows, unconfirmed requests, messages in queues, deliveries}.
    ``usage``: {(tenant, name): amount} as kept; ``demands``: {id: {name: amount}}; ``losers``: the
    backends that may themselves have lost what they were making, when that was still being made.
    ``commons``: of before this seed, too; ``networked``: the tenants that ever asked for something
    that lies on their default network.
    """

    plans: tuple[Plan, ...]
    answers: Mapping[str, tuple[str, ...]]
    ledger: tuple[Row, ...]
    read_model: tuple[Row, ...]
    timeline: tuple[Told, ...]
    streamed: tuple[Told, ...]
    webhooks: tuple[Told, ...]
    held: tuple[Held, ...]
    commons: tuple[Common, ...] = ()
    networked: frozenset[str] = frozenset()
    usage: Mapping[tuple[str, str], int] = field(default_factory=dict)
    demands: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    left_over: Mapping[str, int] = field(default_factory=dict)
    unsettled: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    instances: tuple[Instance, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    losers: frozenset[str] = frozenset()
    unmade: bool = False

    @property
    def accepted(self) -> dict[str, Plan]:
        """The plans by the ids of their VMs."""
        by_key = {plan.key: plan for plan in self.plans}
        return {id: by_key[key] for key, ids in self.answers.items() for id in ids}
