"""The form in which a kind says what its steps are; the engine in `workflow` walks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.scheduler.state import ResourceState
from shared.contract.messages import Message
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Operation, StepPart


@dataclass(frozen=True)
class Absorbed:
    """What an event means for its step: backend ids and outputs to keep, and whether it is done.

    ``done=False`` says that the backend has accepted and an observation will end the step; with
    ``unproven`` its inspections are asked for often, since the backend doesn't tell by itself.
    """

    done: bool = True
    unproven: bool = False
    handles: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sighting:
    """What an observation says of a step that was accepted: done, failed, or (neither) go on.

    ``again``: what was made is of no use, for this reason; the same command mends that.
    ``unproven``: nearly done; what is still missing is worth looking for soon. ``why`` says what
    that is, where it is more than a matter of time.
    """

    done: bool = False
    failed: tuple[Reason, Problem] | None = None
    again: Problem | None = None
    unproven: bool = False
    why: tuple[Reason, str] | None = None
    handles: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)


def doubt_of(step: str) -> str:
    """The handle that says that a step may have made more than the handles name: what it made."""
    return f"doubtful/{step}"


Absorb = Callable[[Any], Absorbed]
#: Those that are shown, and how many there are besides.
Parts = tuple[tuple[StepPart, ...], int]


@dataclass(frozen=True)
class StepDefinition:
    """One step: its command, its undo, and what their events mean.

    ``after`` names the steps that must be done before; ``wanted`` tells whether this resource
    needs the step at all; ``patience`` is how long, in seconds, its making may take altogether.
    """

    name: str
    worker: str
    make: Callable[[ResourceState], Message]
    undo: Callable[[ResourceState], Message]
    made_by: Mapping[type[Message], Absorb]
    undone_by: Mapping[type[Message], Absorb]
    after: tuple[str, ...] = ()
    wanted: Callable[[ResourceState], bool] = lambda _: True
    sees_made: Callable[[ResourceState, Any], Sighting] | None = None
    sees_undone: Callable[[ResourceState, Any], Sighting] | None = None
    patience: float = 1800
    #: Where its worker is asked; what the worker answers tells of the health of that place.
    place: Callable[[ResourceState], str] = lambda state: state.place
    #: What is to be kept of why an undo could not be done yet: (state, problem, now) → handles.
    undo_held_up: Callable[[ResourceState, Problem, datetime], Mapping[str, str]] = (
        lambda _state, _problem, _now: {}
    )
    #: What an observation shows of the parts that its backend makes it of; None: nothing.
    parts: Callable[[ResourceState, Any], Parts | None] = lambda _state, _seen: None
    #: What is known, in words, of why a step that was accepted is not done yet.
    so_far: Callable[[ResourceState], str | None] = lambda _: None


@dataclass(frozen=True)
class Inspection:
    """Who is asked about resources, where, and what comes back for each.

    ``command`` is about those of one ``place``. A resource of which nothing can be seen there yet
    has None.
    """

    worker: str
    observation: type[Message]
    command: Callable[[str, Sequence[ResourceState]], Message]
    place: Callable[[ResourceState], str | None] = lambda state: state.place


@dataclass(frozen=True)
class Held:
    """A sort of thing that a kind is made of: the handle that records it, and whose it is.

    None: it is not recorded which one it is, so that of the living nothing is said of it.
    """

    handle: str | None
    worker: str


@dataclass(frozen=True)
class OperationDefinition:
    """Verbs on a living resource: the command, and what ends it.

    Either an answer accepts it, and it is ``done`` when it is seen to be; or an answer ends it.
    """

    command: Callable[[ResourceState, Operation], Message]
    accepted_by: type[Message] | tuple[()] = ()
    done: Callable[[Operation, Any], bool] = lambda _operation, _seen: False
    #: Why what was accepted has come to nothing, so that it is ordered again; None: it has not.
    in_vain: Callable[[Operation, Any], Problem | None] = lambda _operation, _seen: None
    ended_by: Mapping[type[Message], Absorb] = field(default_factory=dict)
    #: Why what was accepted has failed for good; None: it has not.
    failed: Callable[[Operation, Any], Problem | None] = lambda _operation, _seen: None
    #: Its backend doesn't tell by itself: inspections are asked for often.
    unproven: bool = False
    #: How long one may take altogether, in seconds.
    patience: float = 600


@dataclass(frozen=True)
class WorkflowDefinition:
    """The steps of a kind, and what observations of the living resource mean."""

    kind: str
    #: The worker of the kind itself: verbs are its to do.
    worker: str
    steps: tuple[StepDefinition, ...]
    #: What a backend tells by itself comes in the form of the first one.
    inspections: tuple[Inspection, ...]
    #: Whether what the backend told by itself is about the object that the resource now is.
    is_about: Callable[[ResourceState, Any], bool]
    #: Reads a living resource's outputs from an observation.
    outputs: Callable[[ResourceState, Any], Mapping[str, Any]]
    #: The condition of the living resource: None (fine), or what is wrong and whether it is lost.
    condition: Callable[[ResourceState, Any], tuple[Reason, str, bool] | None]
    #: What the kind is made of, in the backends' words, in the order in which it is removed.
    holds: Mapping[str, Held]
    #: What a living resource shows of itself while its condition is bad.
    bad_outputs: Callable[[ResourceState, Any], Mapping[str, Any]] = lambda _state, _seen: {}
    #: Whether what is wrong may be nothing: only when the next look shows it, too, it counts.
    may_pass: Callable[[Any], bool] = lambda _seen: False
    #: Its backend may quote secrets, long after they were brought: they are told for masking.
    quotes_secrets: bool = False
    #: Verbs on the living resource; None where the kind has none.
    operations: OperationDefinition | None = None
    #: The step whose command makes whole what an observation shows of one that is done; None: none.
    mended_by: Callable[[ResourceState, Any], str | None] = lambda _state, _seen: None

    def knows(self, name: str) -> bool:
        """Tell whether there is a step of this name."""
        return any(step.name == name for step in self.steps)

    def place_of(self, state: ResourceState, name: str) -> str:
        """Return where a step, or else an operation, is carried out."""
        return self.step(name).place(state) if self.knows(name) else state.place

    def worker_of(self, name: str) -> str:
        """Return who carries out a step, or else an operation."""
        return self.step(name).worker if self.knows(name) else self.worker

    def step(self, name: str) -> StepDefinition:
        """The definition of a step by name."""
        return next(step for step in self.steps if step.name == name)
