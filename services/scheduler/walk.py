"""One resource on its way through one event: the changes gathered, then given out as a `Decision`.

`Walk` knows how a resource, its steps and its timers are changed, not when: that is `workflow`.
Nothing here reads a clock or does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from services.scheduler.definitions import StepDefinition, WorkflowDefinition
from services.scheduler.state import Command, Decision, Progress, ResourceState
from shared.contract.messages import Message
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Lease, Operation, Phase, Step, StepState

#: A command that has not started by then must not start: its attempt is over.
COMMAND_LIFE = timedelta(seconds=120)
#: How long a worker's request to its backend may go on after that.
REQUEST_LIFE = timedelta(seconds=60)
BACKOFF_SECONDS = (1, 2, 4, 8, 15)
#: A backend that wants to be left alone longer is, up to this, in seconds.
LONGEST_WISH = 60.0
#: How long after a request that was not answered the backend may yet do what it asked.
UNKNOWN_LIFE = timedelta(seconds=30)


class Walk:
    """The resource being changed, and what is to be sent and set when the change is recorded."""

    def __init__(self, state: ResourceState, definition: WorkflowDefinition, now: datetime) -> None:
        self.state = state
        self.definition = definition
        self.now = now
        self._original = state
        self._commands: list[Command] = []
        self._timers: dict[str, datetime | None] = {}
        self._clear_timers = False

    def decision(self) -> Decision:
        """The outcome; the revision grows by one exactly when the public resource has changed."""
        resource = self.state.resource
        if resource != self._original.resource:
            resource = msgspec.structs.replace(
                resource, revision=resource.revision + 1, updated_at=self.now
            )
            self.change(resource=resource)
        return Decision(self.state, tuple(self._commands), self._timers, self._clear_timers)

    # ---- the resource -----------------------------------------------------------------------

    def change(self, **fields: Any) -> None:
        """Replace fields of the ledger's state."""
        self.state = msgspec.structs.replace(self.state, **fields)

    def change_resource(self, **fields: Any) -> None:
        """Replace fields of the public resource."""
        self.change(resource=msgspec.structs.replace(self.state.resource, **fields))

    def change_status(self, **fields: Any) -> None:
        """Replace fields of the public status."""
        status = msgspec.structs.replace(self.state.resource.status, **fields)
        self.change_resource(status=status)

    def explain(self, reason: Reason | None, message: str | None = None) -> None:
        """Say why the resource is as it is."""
        self.change_status(reason=reason, message=message)

    def keep(self, handles: Mapping[str, str], outputs: Mapping[str, Any]) -> None:
        """Keep backend ids and outputs."""
        self.change(handles={**self.state.handles, **handles})
        if outputs:
            self.change_status(outputs={**self.state.resource.status.outputs, **outputs})

    # ---- steps ------------------------------------------------------------------------------

    def wanted(self) -> list[StepDefinition]:
        """The steps that this resource has."""
        return [step for step in self.definition.steps if step.wanted(self.state)]

    def progress(self, name: str) -> Progress:
        """The open end of a step or operation."""
        return self.state.progress.get(name, Progress())

    def change_progress(self, name: str, **fields: Any) -> None:
        """Replace fields of a step's open end."""
        changed = msgspec.structs.replace(self.progress(name), **fields)
        self.change(progress={**self.state.progress, name: changed})

    def change_step(self, name: str, **fields: Any) -> None:
        """Replace fields of the public record of a step."""
        steps = tuple(
            msgspec.structs.replace(step, **fields) if step.name == name else step
            for step in self.state.resource.status.steps
        )
        self.change_status(steps=steps)

    def show_parts(self, step: StepDefinition, seen: Message) -> None:
        """Show in the public record what its backend makes it of, as far as ``seen`` tells."""
        if (parts := step.parts(self.state, seen)) is not None:
            self.change_step(step.name, parts=parts[0], more_parts=parts[1])

    def reset_steps(self) -> None:
        """All steps as if never begun, except that their attempts go on counting."""
        wanted = self.wanted()
        attempts = {step.name: self.progress(step.name).attempt for step in wanted}
        reset = {name: Progress(attempt=n) for name, n in attempts.items()}
        self.change(progress={**self.state.progress, **reset})
        self.change_status(
            steps=tuple(
                Step(name=step.name, worker=step.worker, state=StepState.PENDING) for step in wanted
            )
        )

    def issue_step(self, definition: StepDefinition, *, undo: bool) -> None:
        """Send the next command of a step: to make it, or to undo it."""
        name, progress = definition.name, self.progress(definition.name)
        step = self.state.step(name)
        changes: dict[str, Any] = {"attempt": progress.attempt + 1, "error": None}
        if undo:
            changes |= {"state": StepState.UNDOING, "finished_at": None}
        else:
            changes |= {"state": StepState.RUNNING, "started_at": step.started_at or self.now}
            if step.started_at is None:
                patience = timedelta(seconds=definition.patience)
                self.set_timer(f"overdue/{name}", self.now + patience)
        self.change_step(name, **changes)
        make = definition.undo if undo else definition.make
        self.issue(name, definition.worker, make(self.state))

    def issue(self, name: str, worker: str, message: Any) -> None:
        """Send a command under the next attempt of a step or operation, and watch over it."""
        attempt = self.progress(name).attempt + 1
        not_after = self.now + COMMAND_LIFE
        self.change_progress(
            name,
            attempt=attempt,
            answered=False,
            accepted=False,
            accepted_at=None,
            began=True,
            unproven=False,
        )
        self._commands.append(Command(worker, message, name, attempt, not_after))
        self.cancel_timer(f"retry/{name}")
        self.set_timer(f"expiry/{name}", not_after + REQUEST_LIFE)

    def answered(self, name: str, *, accepted: bool = False) -> None:
        """The open command of a step or operation has had its answer."""
        self.change_progress(
            name,
            answered=True,
            accepted=accepted,
            accepted_at=self.now if accepted else None,
            failures=0,
            unproven=False,
        )
        self.cancel_timer(f"expiry/{name}")

    def keep_early(self, name: str, seen: Message) -> None:
        """The backend has told something before our command was answered: keep the latest."""
        known = self.progress(name).early
        told = msgspec.to_builtins(seen)
        if known is None or told["observed_at"] > known["observed_at"]:
            self.change_progress(name, early=told)

    def take_early(self, name: str) -> Message | None:
        """What the backend had told before the command was answered, once."""
        early = self.progress(name).early
        if early is None:
            return None
        self.change_progress(name, early=None)
        return msgspec.convert(early, self.definition.inspections[0].observation)

    def pause(self, name: str, wish: float | None = None) -> None:
        """The open command failed and may be tried again: set the timer for it.

        ``wish``: how long the backend wants to be left alone, in seconds.
        """
        failures = self.progress(name).failures + 1
        self.answered(name)
        self.change_progress(name, failures=failures)
        usual = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS)) - 1]
        seconds = max(usual, min(wish or 0.0, LONGEST_WISH))
        self.set_timer(f"retry/{name}", self.now + timedelta(seconds=seconds))

    def back_off(self, name: str, problem: Problem, wish: float | None = None) -> None:
        """As `pause`, and say why nothing moves."""
        self.pause(name, wish)
        self.explain(reason_of(problem, Reason.BACKEND_UNAVAILABLE), problem.detail)

    # ---- operations and timers --------------------------------------------------------------

    def change_operation(self, operation_id: str, **fields: Any) -> None:
        """Replace fields of an operation's public record."""
        operations = tuple(
            msgspec.structs.replace(one, **fields) if one.id == operation_id else one
            for one in self.state.resource.status.operations
        )
        self.change_status(operations=operations)

    def add_operation(self, operation: Operation, *, keep: int = 20) -> None:
        """Record an operation; the oldest finished ones beyond ``keep`` are dropped."""
        operations = self.state.resource.status.operations
        finished = [one.id for one in operations if one.finished_at is not None]
        dropped = finished[: max(0, len(operations) + 1 - keep)]
        kept = (one for one in operations if one.id not in dropped)
        self.change_status(operations=(*kept, operation))

    def set_lease(self, ttl: int) -> None:
        """The lease ends ``ttl`` seconds from now, or from ``active`` when it isn't yet."""
        expires_at = self.now + timedelta(seconds=ttl) if self.state.phase is Phase.ACTIVE else None
        self.change_resource(lease=Lease(ttl=ttl, expires_at=expires_at))
        if expires_at is not None:
            self.set_timer("lease", expires_at)

    def set_timer(self, name: str, due_at: datetime) -> None:
        """Set (or move) a timer."""
        self._timers[name] = due_at

    def cancel_timer(self, name: str) -> None:
        """Cancel a timer, if there is one."""
        self._timers[name] = None

    def clear_timers(self) -> None:
        """Cancel every timer of the resource; those set afterwards count."""
        self._clear_timers = True
        self._timers = {}


def reason_of(problem: Problem, default: Reason) -> Reason:
    """The problem's reason where it is one of the vocabulary."""
    return Reason(problem.reason) if problem.reason in set(Reason) else default
