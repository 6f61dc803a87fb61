"""Resources: what a tenant asked for and what became of it (the body of every API answer)."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.contract.problems import Problem, Reason

#: A time, RFC 3339 with its zone: without one it can't be compared with ours.
Moment = Annotated[datetime, Meta(tz=True)]


class Phase(enum.StrEnum):
    """Where a resource is in its life; every path ends in active, failed or deleted."""

    REQUESTED = "requested"
    WAITING = "waiting"
    PROVISIONING = "provisioning"
    ACTIVE = "active"
    DEPROVISIONING = "deprovisioning"
    DELETED = "deleted"
    FAILED = "failed"


#: Phases in which a resource holds nothing any more and takes no further part.
TERMINAL_PHASES = frozenset({Phase.DELETED, Phase.FAILED})
#: Phases in which a resource counts against its tenant's quota.
HOLDING_PHASES = frozenset({Phase.PROVISIONING, Phase.ACTIVE, Phase.DEPROVISIONING})


class StepState(enum.StrEnum):
    """The state of one named step. ``retrying`` waits for its next attempt."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    DONE = "done"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"


class OperationState(enum.StrEnum):
    """The state of a verb on a living resource."""

    REQUESTED = "requested"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Verb(enum.StrEnum):
    """What a request asks for."""

    CREATE = "create"
    DELETE = "delete"
    EXTEND = "extend"
    UPDATE = "update"
    REBOOT = "reboot"
    STOP = "stop"
    START = "start"


POWER_VERBS = frozenset({Verb.REBOOT, Verb.STOP, Verb.START})


class Sort(enum.StrEnum):
    """The sorts of places that resources are put on.

    A cloud is an OpenStack in clouds.yaml; a store is a Ceph pool with the iSCSI gateway before it;
    a metal is the bare metal of one Ironic, with the store that its machines boot from.
    """

    CLOUD = "cloud"
    STORE = "store"
    METAL = "metal"


class _Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class StepPart(_Record, frozen=True):
    """One of the things that a step's backend makes it of: a resource of a stack, by Heat's events.

    ``status`` is the backend's own word for ``state``, ``reason`` its words for what went wrong,
    the times are its own: of the last that it did with the part. ``name`` is a path where parts
    have parts: ``workers/0``.
    """

    name: str
    type: str
    state: StepState
    status: str
    reason: str | None = None
    started_at: Moment | None = None
    finished_at: Moment | None = None


class Step(_Record, frozen=True):
    """One step of the workflow as the requester sees it, with its times (RFC 3339, UTC).

    ``parts`` are those that its backend tells of, as they were last seen; ``more_parts`` is how
    many there are besides: those that have failed are told of first.
    """

    name: str
    worker: str
    state: StepState
    attempt: int = 0
    started_at: Moment | None = None
    finished_at: Moment | None = None
    error: Problem | None = None
    parts: tuple[StepPart, ...] = ()
    more_parts: int = 0


class Operation(_Record, frozen=True):
    """A verb on a living resource (reboot, stop, start, or update that resizes it).

    It doesn't change the phase. ``size_gib`` is how large a volume is to be, ``node_count`` how
    many workers a cluster is to have.
    """

    id: str
    verb: Verb
    state: OperationState
    size_gib: int | None = None
    node_count: int | None = None
    requested_at: Moment | None = None
    started_at: Moment | None = None
    finished_at: Moment | None = None
    error: Problem | None = None


class Queue(_Record, frozen=True):
    """The place in the queue while waiting: 1 is next, beyond 20 it is rounded up.

    ``estimated_start`` (whole seconds): the request starts about then at the latest, as far as is
    known now: for its tenant's quota, when enough of the tenant's leases have ended for it and for
    those before it; for a cloud's own quota or rest, or a free node of a metal, and at position 1
    only, when it is next tried. None where nothing is known (VMs without a lease, a cloud that is
    busy), and beyond position 20.
    """

    position: int
    estimated_start: Moment | None = None


class Placement(_Record, frozen=True):
    """Where a resource was placed, and why there: one line of explanation per candidate.

    Volumes and what is made of them are on a ``store``, VMs on a ``cloud``. A machine is on a
    ``metal``, its disks on that one's ``store``, its port on that one's ``cloud``, if it has one.
    """

    cloud: str | None = None
    store: str | None = None
    metal: str | None = None
    explanation: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The name of what it was placed on: no two sorts of places share names."""
        return self.metal or self.cloud or self.store or ""

    @property
    def places(self) -> tuple[str, ...]:
        """The names of all that may hold something of it."""
        return tuple(one for one in (self.metal, self.cloud, self.store) if one)


class Lease(_Record, frozen=True):
    """How long a resource lives: ``ttl`` seconds from ``active`` (or from the last extension)."""

    ttl: int
    expires_at: Moment | None = None


class Status(_Record, frozen=True):
    """What became of the request."""

    phase: Phase
    reason: Reason | None = None
    message: str | None = None
    steps: tuple[Step, ...] = ()
    operations: tuple[Operation, ...] = ()
    outputs: dict[str, Any] = {}
    error: Problem | None = None
    placement: Placement | None = None
    queue: Queue | None = None


class Resource(_Record, frozen=True):
    """A resource. ``spec`` is the kind's struct as JSON (`shared.contract.kinds`), without secrets.

    ``revision`` grows by one with every change and is the ``sequence`` of its status messages.
    """

    id: str
    kind: str
    tenant: str
    spec: dict[str, Any]
    status: Status
    created_at: Moment
    updated_at: Moment
    revision: int
    name: str | None = None
    labels: dict[str, str] = {}
    lease: Lease | None = None
    deadline: int | None = None
