"""Whatever happens in whatever order, a VM ends well: random events, repeats, old attempts."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.scheduler import operations
from services.scheduler.state import Command, ResourceState
from shared.contract.messages import ChangeVmPower, VmDeprovisioned, VmPowerChangeStarted
from shared.contract.problems import Reason
from shared.contract.resources import Phase, StepState, Verb
from tests.unit.scheduler.driver import ANSWERS, Driver

_REASONS = st.sampled_from(
    [Reason.BACKEND_UNAVAILABLE, Reason.QUOTA_EXCEEDED, Reason.NO_VALID_HOST, Reason.BUILD_FAILED]
)
_UNDOS = {
    "DeprovisionVm": "server",
    "ReleaseFloatingIp": "floating_ip",
    "ReleaseVmPort": "port",
}
_CLOUDS = {"devcloud", "other"}


def _without_doubts(state: ResourceState) -> ResourceState:
    """The state, apart from what is only looked at when all is undone."""
    known = {name: id for name, id in state.handles.items() if not name.startswith("doubtful/")}
    progress = {
        name: msgspec.structs.replace(one, unknown_until=None)
        for name, one in state.progress.items()
    }
    return msgspec.structs.replace(state, handles=known, progress=progress)


class VmMachine(RuleBasedStateMachine):
    """A VM, a cloud that does anything, and a user who may delete at any time.

    ``exists`` is what the clouds really have, as (cloud, step): the machine's own truth, kept apart
    from the ledger's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.vm = Driver(lease=3600, deadline=600)
        self.late = False
        self.answered: list[Command] = []
        self.exists: set[tuple[str, str]] = set()

    def _work(self, command: Command) -> None:
        """What a worker does in the cloud, whether or not its answer arrives."""
        cloud = command.message.cloud  # type: ignore[attr-defined]
        undone = _UNDOS.get(type(command.message).__name__)
        if undone is not None:
            self.exists.discard((cloud, undone))
        elif not isinstance(command.message, ChangeVmPower):
            self.exists.add((cloud, command.step))

    def _has_server(self) -> bool:
        placement = self.vm.status.placement
        return placement is not None and (placement.cloud, "server") in self.exists

    def _open_clouds(self) -> list[str]:
        """Where placement may put it: not where it was refused, nor where something is left."""
        left = {one.cloud for one in self.vm.state.left_behind}
        return sorted(_CLOUDS - self.vm.state.refusals.keys() - left)

    @precondition(
        lambda self: (
            self.vm.status.phase in {Phase.REQUESTED, Phase.WAITING} and self._open_clouds()
        )
    )
    @rule(data=st.data(), alone=st.booleans())
    def admit(self, data: st.DataObject, alone: bool) -> None:
        """Admission lets it start, with the other cloud as an alternative or without any."""
        cloud = data.draw(st.sampled_from(self._open_clouds()))
        others = _CLOUDS - {cloud} - self.vm.state.refusals.keys()
        self.vm.admit(() if alone else tuple(others), cloud)

    @precondition(lambda self: bool(self.vm.open))
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """A worker does what it was told, and says so."""
        command = data.draw(st.sampled_from(self.vm.open))
        self._work(command)
        self.answered.append(command)
        name = type(command.message).__name__
        if name == "DeprovisionVm" and data.draw(st.booleans()):
            self.vm.answer(name, VmDeprovisioned())
        elif isinstance(command.message, ChangeVmPower):
            operation = command.message.operation_id
            self.vm.answer(name, VmPowerChangeStarted(operation_id=operation))
        else:
            self.vm.answer(name)

    @precondition(lambda self: bool(self.vm.open))
    @rule(data=st.data(), reason=_REASONS, retryable=st.booleans(), worked=st.booleans())
    def fail(self, data: st.DataObject, reason: Reason, retryable: bool, worked: bool) -> None:
        """A command fails; it may have had its effect all the same, or may yet have it."""
        command = data.draw(st.sampled_from(self.vm.open))
        unknown = retryable and data.draw(st.booleans())
        if worked and type(command.message).__name__ not in _UNDOS:
            self._work(command)
        self.answered.append(command)
        name = type(command.message).__name__
        self.vm.fail(name, reason, retryable=retryable, unknown=unknown)

    @precondition(lambda self: bool(self.vm.timers))
    @rule(data=st.data())
    def ring(self, data: st.DataObject) -> None:
        """A timer rings. An expiry means that the open command's work, if any, is over."""
        name = data.draw(st.sampled_from(sorted(self.vm.timers)))
        if name.startswith("expiry/"):
            for command in [one for one in self.vm.open if f"expiry/{one.step}" == name]:
                self.vm.open.remove(command)
                if data.draw(st.booleans()):
                    self._work(command)
                self.answered.append(command)
        self.late = self.late or name == "deadline"
        resting = data.draw(st.sets(st.sampled_from(sorted(_CLOUDS))))
        self.vm.ring(name, tuple(resting))

    @precondition(lambda self: bool(self.answered))
    @rule(data=st.data())
    def repeat_an_answer(self, data: st.DataObject) -> None:
        """An answer comes again, or late: it decides nothing, but may leave a doubt."""
        command = data.draw(st.sampled_from(self.answered))
        answer = ANSWERS.get(type(command.message).__name__)
        before = self.vm.state
        if answer is not None:
            self.vm.event(command.step, command.attempt, answer)
        assert _without_doubts(self.vm.state) == _without_doubts(before)

    @rule(status=st.sampled_from(["BUILD", "ACTIVE", "ERROR", "SHUTOFF"]), up=st.booleans())
    def see(self, status: str, up: bool) -> None:
        """An inspection shows the server, if there is one."""
        self.vm.now += timedelta(seconds=1)
        if self._has_server():
            self.vm.see(server_status=status, port_status="ACTIVE" if up else "DOWN")
        elif "server_id" in self.vm.state.handles:
            self.vm.see(gone=True)

    @rule()
    def delete(self) -> None:
        """The user deletes."""
        self.vm.delete()

    @rule(verb=st.sampled_from([Verb.REBOOT, Verb.STOP, Verb.EXTEND]), key=st.integers(0, 3))
    def ask(self, verb: Verb, key: int) -> None:
        """The user asks for something else."""
        self.vm.ask(verb, operation_id=f"op-{key}", lease_ttl=60)

    @invariant()
    def the_ended_hold_nothing(self) -> None:
        """Failed and deleted mean that nothing is left in the cloud, and nothing is on its way."""
        if self.vm.status.phase in {Phase.FAILED, Phase.DELETED}:
            assert not self.exists
            assert all(operations.is_operation(command.step) for command in self.vm.open)
            assert not self.vm.timers

    @invariant()
    def never_two_servers(self) -> None:
        """However clouds come and go, there is one server at most."""
        assert sum(step == "server" for _, step in self.exists) <= 1

    @invariant()
    def what_is_left_behind_has_a_timer(self) -> None:
        """It is removed in the end, wherever the resource is by then."""
        for left in self.vm.state.left_behind:
            assert any(name.endswith(f"/left-{left.cloud}") for name in self.vm.timers)

    @invariant()
    def nothing_is_stuck(self) -> None:
        """Whatever isn't at rest waits for an admission, an observation, or a timer."""
        phase = self.vm.status.phase
        if phase is Phase.PROVISIONING:
            assert self.vm.timers
        if phase is Phase.DEPROVISIONING:
            waits = any(progress.accepted for progress in self.vm.state.progress.values())
            assert self.vm.timers or waits

    @invariant()
    def after_the_deadline_it_only_ends(self) -> None:
        """Once the deadline has passed, there is no way but to failed or deleted."""
        if self.late:
            assert self.vm.status.phase in {Phase.DEPROVISIONING, Phase.FAILED, Phase.DELETED}

    @invariant()
    def active_has_all_steps_done(self) -> None:
        """Active means every step done."""
        if self.vm.phase() is Phase.ACTIVE:
            assert all(step.state is StepState.DONE for step in self.vm.status.steps)

    @invariant()
    def one_command_at_a_time_per_step(self) -> None:
        """No step ever has two open commands."""
        steps = [command.step for command in self.vm.open]
        assert len(steps) == len(set(steps))

    def teardown(self) -> None:
        """A delete and a cloud that works again always end in deleted, with nothing left."""
        self.vm.delete()
        for _ in range(50):
            if self.vm.phase() is Phase.DELETED:
                break
            for command in list(self.vm.open):
                self._work(command)
                if type(command.message).__name__ in ANSWERS:
                    self.vm.answer(type(command.message).__name__)
                else:
                    self.vm.open.remove(command)
            if not self._has_server():
                self.vm.see(gone=True)
            for name in sorted(self.vm.timers):
                if name.startswith("retry/"):
                    self.vm.ring(name)
        assert self.vm.phase() is Phase.DELETED
        assert not self.exists


TestVmMachine = VmMachine.TestCase
TestVmMachine.settings = settings(stateful_step_count=40, deadline=None)
