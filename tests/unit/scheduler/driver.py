"""Walks one VM through the workflow by hand: tests say what happens, it keeps the state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from services.scheduler import operations, workflow
from services.scheduler.state import Command, Decision, Ending, Goal, ResourceState
from services.scheduler.vm_workflow import VM_WORKFLOW
from shared.contract.messages import (
    CommandFailed,
    FloatingIpAssociated,
    FloatingIpReleased,
    Message,
    RequestSubmitted,
    VmBuildStarted,
    VmDeletionStarted,
    VmObserved,
    VmPortPrepared,
    VmPortReleased,
)
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Lease, Phase, Placement, Resource, Status, StepState, Verb

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
VM = "vm-01jz0000000000000000000000"

#: What a worker that succeeds answers to each command.
ANSWERS: dict[str, Message] = {
    "PrepareVmPort": VmPortPrepared(
        port_id="port-1",
        network_id="net-1",
        mac_address="02:00:00:00:00:01",
        fixed_ips=("10.0.0.5",),
    ),
    "ProvisionVm": VmBuildStarted(server_id="server-1"),
    "AssociateFloatingIp": FloatingIpAssociated(
        floating_ip_id="fip-1", floating_ip_address="203.0.113.9"
    ),
    "DeprovisionVm": VmDeletionStarted(server_id="server-1"),
    "ReleaseFloatingIp": FloatingIpReleased(),
    "ReleaseVmPort": VmPortReleased(),
}


#: Refusals whose problem says that the same may succeed later.
FOR_NOW = {Reason.QUOTA_EXCEEDED, Reason.BACKEND_UNAVAILABLE}


class Driver:
    """A VM's state, its commands that have not been answered, and its timers."""

    def __init__(
        self, *, floating_ip: bool = True, lease: int | None = None, deadline: int | None = None
    ) -> None:
        self.now = START
        self.open: list[Command] = []
        self.timers: dict[str, datetime] = {}
        self.phases: list[Phase] = []
        resource = Resource(
            id=VM,
            kind="vm",
            tenant="bigtop",
            spec={"image": "debian-12", "flavor": "small", "floating_ip": floating_ip},
            status=Status(phase=Phase.REQUESTED),
            lease=None if lease is None else Lease(ttl=lease),
            deadline=deadline,
            created_at=START,
            updated_at=START,
            revision=0,
        )
        self.state = ResourceState(resource=resource, correlation_id="request-1")
        self._take(workflow.accept(self.state, VM_WORKFLOW, self.now))

    @property
    def status(self) -> Status:
        return self.state.resource.status

    def phase(self) -> Phase:
        return self.status.phase

    def reason(self) -> Reason | None:
        return self.status.reason

    def step(self, name: str) -> StepState:
        return self.state.step(name).state

    def names(self) -> set[str]:
        """The names of the commands that have not been answered."""
        return {type(command.message).__name__ for command in self.open}

    def command(self, name: str) -> Command:
        return next(one for one in self.open if type(one.message).__name__ == name)

    def _take(self, decision: Decision) -> None:
        self.state = decision.state
        self.open.extend(decision.commands)
        if decision.clear_timers:
            self.timers.clear()
        for name, due_at in (decision.timers or {}).items():
            self.timers.pop(name, None)
            if due_at is not None:
                self.timers[name] = due_at
        if not self.phases or self.phases[-1] is not self.state.phase:
            self.phases.append(self.state.phase)

    # ---- what happens

    def admit(self, alternatives: tuple[str, ...] = (), cloud: str = "devcloud") -> Driver:
        placement = Placement(cloud=cloud, explanation=(f"{cloud}: room",))
        self._take(workflow.admit(self.state, VM_WORKFLOW, self.now, placement, alternatives))
        return self

    def answer(self, name: str, event: Message | None = None) -> Driver:
        """The worker answers its command, well unless told otherwise."""
        command = self.command(name)
        self.open.remove(command)
        return self.event(command.step, command.attempt, event or ANSWERS[name])

    def fail(
        self,
        name: str,
        reason: Reason,
        *,
        retryable: bool,
        detail: str = "words",
        unknown: bool = False,
    ) -> Driver:
        problem = Problem(title="x", detail=detail, reason=reason, retryable=reason in FOR_NOW)
        failed = CommandFailed(command=name, problem=problem, retryable=retryable, unknown=unknown)
        return self.answer(name, failed)

    def event(self, step: str, attempt: int, event: Message) -> Driver:
        self._take(workflow.absorb(self.state, VM_WORKFLOW, self.now, step, attempt, event))
        return self

    def see(self, **fields: Any) -> Driver:
        self.now += timedelta(seconds=1)
        seen = VmObserved(**{"observed_at": self.now, "server_id": "server-1", **fields})
        self._take(workflow.observe(self.state, VM_WORKFLOW, self.now, seen))
        return self

    def see_active(self) -> Driver:
        return self.see(server_status="ACTIVE", port_status="ACTIVE")

    def ring(self, name: str, resting: tuple[str, ...] = ()) -> Driver:
        """The timer becomes due; meanwhile these clouds rest."""
        self.now = max(self.now, self.timers.pop(name))
        self._take(workflow.ring(self.state, VM_WORKFLOW, self.now, name, resting))
        return self

    def ring_early(self, name: str) -> Driver:
        """The timer was due by another clock than ours; its row is gone."""
        self._take(workflow.ring(self.state, VM_WORKFLOW, self.now, name))
        return self

    def unreachable(self) -> Driver:
        problem = Problem(title="x", detail="refused", reason=Reason.BACKEND_UNAVAILABLE)
        self._take(workflow.unreachable(self.state, VM_WORKFLOW, self.now, problem))
        return self

    def delete(self) -> Driver:
        ending = Ending(goal=Goal.DELETE, reason=Reason.DELETE_REQUESTED)
        self._take(workflow.end(self.state, VM_WORKFLOW, self.now, ending))
        return self

    def ask(self, verb: Verb, **fields: Any) -> Driver:
        request = RequestSubmitted(verb=verb, kind="vm", resource_id=VM, **fields)
        self._take(operations.request(self.state, VM_WORKFLOW, self.now, request))
        return self

    def make(self) -> Driver:
        """All goes well, up to active."""
        self.admit().answer("PrepareVmPort").answer("ProvisionVm")
        if "AssociateFloatingIp" in self.names():
            self.answer("AssociateFloatingIp")
        return self.see_active()

    def undo(self) -> Driver:
        """Everything that is being undone goes well, to the end."""
        while self.open:
            name = type(self.open[0].message).__name__
            self.answer(name)
            if name == "DeprovisionVm":
                self.see(gone=True)
        return self
