"""What any worker is told and tells: the failure of a command, and the census of what it holds."""

from __future__ import annotations

from shared.contract.messages.base import Message
from shared.contract.problems import Problem
from shared.contract.resources import Moment


class CommandFailed(Message, frozen=True):
    """A command ended without its effect, or with an unknown one.

    ``retryable`` means the same command may succeed later (another attempt will look first).
    ``unknown``: the backend did not answer, and may yet do what it was asked. ``retry_after`` is
    how long it wants to be left alone, in seconds. ``problem.reason`` is from the vocabulary
    (`shared.contract.problems.Reason`).
    """

    command: str
    problem: Problem
    retryable: bool
    operation_id: str | None = None
    unknown: bool = False
    retry_after: int | None = None


class TakeCensus(Message, frozen=True):
    """Say what ``place`` (a cloud) holds of this installation: → `CensusTaken`."""

    place: str


class Holding(Message, frozen=True):
    """One object of ours in a backend.

    ``what`` is the backend's word for it (server, port, floating_ip); ``resource_id`` is None for
    what serves a tenant as a whole. ``place`` names the backend (the cloud).
    """

    what: str
    id: str
    place: str
    tenant: str
    resource_id: str | None = None
    name: str | None = None
    status: str | None = None


class CensusTaken(Message, frozen=True):
    """What ``place`` held of this installation at ``taken_at``; in several parts when it is much.

    ``part`` counts from 1 to ``parts``. Half a census is never published. Of the tenants that are
    ``left_out`` nothing could be found out: what is not shown of them may be there.
    """

    place: str
    taken_at: Moment
    holdings: tuple[Holding, ...]
    part: int = 1
    parts: int = 1
    left_out: tuple[str, ...] = ()


class RemoveOrphan(Message, frozen=True):
    """Remove one object of a resource that has ended; `Holding` has the meaning of the fields.

    The worker looks first: whose marks the object doesn't bear, it must not touch.
    """

    place: str
    what: str
    object_id: str
    resource_id: str


class OrphanRemoved(Message, frozen=True):
    """The object is gone (also when it already was)."""

    place: str
    what: str
    object_id: str
