"""Walks a resource of any kind through its workflow by hand: tests say what happens."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from services.scheduler import workflow
from services.scheduler.definitions import WorkflowDefinition
from services.scheduler.state import Command, Decision, Ending, Goal, ResourceState
from services.scheduler.workflows import WORKFLOWS
from shared.contract.messages import CommandFailed, Message
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Phase, Placement, Resource, Status
from tests.unit.scheduler.driver import START

ULID = "01jz0000000000000000000000"


class Walked:
    """Its state, its commands that have not been answered, and its timers."""

    def __init__(
        self,
        kind: str,
        spec: Mapping[str, Any],
        placement: Placement,
        *,
        name: str | None = None,
        deadline: int | None = None,
        alternatives: tuple[str, ...] = (),
    ) -> None:
        self.now = START
        self.kind = kind
        self.definition: WorkflowDefinition = WORKFLOWS[kind]
        self.open: list[Command] = []
        self.timers: dict[str, Any] = {}
        resource = Resource(
            id=f"{kind}-{ULID}",
            kind=kind,
            name=name,
            tenant="bigtop",
            spec=dict(spec),
            status=Status(phase=Phase.REQUESTED),
            created_at=START,
            updated_at=START,
            revision=0,
            deadline=deadline,
        )
        self.state = ResourceState(resource=resource, correlation_id="request-1")
        self._take(workflow.accept(self.state, self.definition, self.now))
        self._take(workflow.admit(self.state, self.definition, self.now, placement, alternatives))

    def _take(self, decision: Decision) -> None:
        self.state = decision.state
        self.open.extend(decision.commands)
        if decision.clear_timers:
            self.timers.clear()
        self.timers.update(decision.timers or {})
        self.timers = {name: due for name, due in self.timers.items() if due is not None}

    def phase(self) -> Phase:
        return self.state.phase

    @property
    def status(self) -> Status:
        return self.state.resource.status

    def reason(self) -> Reason | None:
        return self.status.reason

    def commands(self) -> set[str]:
        """The names of those that wait for an answer."""
        return {type(command.message).__name__ for command in self.open}

    def command(self, name: str | None = None) -> Command:
        """The only one that waits for an answer, or the last one of this name."""
        found = [one for one in self.open if name in (None, type(one.message).__name__)]
        assert name is not None or len(found) == 1, found
        return found[-1]

    def answer(self, event: Message, command: str | None = None) -> None:
        """The worker's answer to the only open command, or to the last one of this name."""
        answered = self.command(command)
        self.open.remove(answered)
        decided = workflow.absorb(
            self.state, self.definition, self.now, answered.step, answered.attempt, event
        )
        self._take(decided)

    def fail(
        self,
        reason: Reason,
        *,
        retryable: bool,
        command: str | None = None,
        detail: str = "held by attachment-1",
    ) -> None:
        problem = Problem(title="x", detail=detail, reason=reason, retryable=True)
        self.answer(CommandFailed(command="x", problem=problem, retryable=retryable), command)

    def observe(self, seen: type[Message], **fields: Any) -> None:
        """A second later a backend shows this."""
        self.now += timedelta(seconds=1)
        event = seen(observed_at=self.now, **fields)
        self._take(workflow.observe(self.state, self.definition, self.now, event))

    def delete(self, *, force: bool = False) -> None:
        self.end(Ending(goal=Goal.DELETE, reason=Reason.DELETE_REQUESTED, force=force))

    def end(self, ending: Ending) -> None:
        self._take(workflow.end(self.state, self.definition, self.now, ending))

    def ring(self, name: str, resting: Collection[str] = ()) -> None:
        self.now = max(self.now, self.timers.pop(name))
        self._take(workflow.ring(self.state, self.definition, self.now, name, resting))
