"""What the ledger keeps of one resource: its public face, and what only the scheduler needs."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from shared.contract.messages import Message
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Phase, Placement, Resource, Step


class Goal(enum.StrEnum):
    """What an undo is for: where the resource goes when everything is undone.

    ``REQUEUE``: back into the queue, since the cloud's quota has no room for it now; ``REPLACE``:
    back into the queue for another cloud, since this one can't ever take it.
    """

    DELETE = "delete"
    FAIL = "fail"
    REQUEUE = "requeue"
    REPLACE = "replace"


class Ending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why the resource is being undone, and the problem to show for it."""

    goal: Goal
    reason: Reason
    problem: Problem | None = None
    #: Whoever still uses it is not waited for.
    force: bool = False


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The open end of one step (or operation).

    ``attempt`` numbers its commands, making and undoing alike, and never goes back, so that an
    event can belong to one command only. ``answered``: that command's outcome is known (or it
    can't start any more). ``accepted``: the backend works on it, an observation will end it.
    ``began``: something may exist, so it must be undone. ``failures`` counts for the backoff.
    ``early`` is what the backend told before the command was answered (the observation, as JSON);
    ``unproven``: the object was seen, but not all that its step needs. Before ``unknown_until`` the
    backend may yet do what it did not answer: that nothing is there means nothing until then.
    ``made``: it was seen done.
    """

    attempt: int = 0
    answered: bool = True
    accepted: bool = False
    accepted_at: datetime | None = None
    began: bool = False
    failures: int = 0
    early: dict[str, Any] | None = None
    unproven: bool = False
    unknown_until: datetime | None = None
    made: bool = False


class SpecChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an operation makes of the spec when it is done; ``sealed`` as in `ResourceState`."""

    spec: dict[str, Any] = {}
    sealed: dict[str, str] = {}


class LeftBehind(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What may have been begun on a cloud that the resource has left.

    ``steps`` are still to be undone there, in this order; ``handles`` are the ids as they were,
    ``unknown_until`` the latest of the steps' (see `Progress`). Rows of before 0.4 have no
    ``placement``: theirs is the cloud.
    """

    cloud: str
    placement: Placement | None = None
    steps: tuple[str, ...]
    handles: dict[str, str] = {}
    unknown_until: datetime | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one backend showed last of a living resource, and what is wrong with that.

    As of ``at``: what was seen before is old news. ``doubted``: something was wrong that may have
    been nothing, so that it is looked at again soon.
    """

    at: datetime
    doubted: bool = False
    reason: Reason | None = None
    message: str | None = None


class ResourceState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row of the ledger. ``sealed`` are secret fields, readable by the worker alone."""

    resource: Resource
    correlation_id: str
    traceparent: str | None = None
    callback_url: str | None = None
    sealed: dict[str, str] = {}
    handles: dict[str, str] = {}
    progress: dict[str, Progress] = {}
    ending: Ending | None = None
    #: Of operations that have not ended, by their ids.
    changes: dict[str, SpecChange] = {}
    #: Secrets that ended changes have brought, the newest last: its backend may quote them as long
    #: as it lives.
    sealed_before: tuple[str, ...] = ()
    #: Clouds that can't take it, with their words, and the others that may still be tried.
    refusals: dict[str, Problem] = {}
    alternatives: tuple[str, ...] = ()
    left_behind: tuple[LeftBehind, ...] = ()
    #: What the living resource was last shown to be, by what showed it (the observation's name).
    seen: dict[str, Seen] = {}

    @property
    def phase(self) -> Phase:
        """The phase that the public sees."""
        return self.resource.status.phase

    @property
    def place(self) -> str:
        """The cloud or store it was placed on; asking before it was placed is a bug."""
        placement = self.resource.status.placement
        if placement is None:
            raise LookupError(f"{self.resource.id} has not been placed")
        return placement.place

    def step(self, name: str) -> Step:
        """The public record of a step."""
        return next(step for step in self.resource.status.steps if step.name == name)


@dataclass(frozen=True)
class Command:
    """A command to be sent: the envelope's ``step``, ``attempt`` and ``not_after`` included."""

    worker: str
    message: Message
    step: str
    attempt: int
    not_after: datetime


@dataclass(frozen=True)
class Decision:
    """What follows from an event: the new state, commands to send, timers to set (None: cancel)."""

    state: ResourceState
    commands: tuple[Command, ...] = ()
    timers: dict[str, datetime | None] | None = None
    clear_timers: bool = False
