"""The workflow of a VM, event by event."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.scheduler.definitions import doubt_of
from shared.contract.messages import (
    CommandFailed,
    VmBuildStarted,
    VmDeprovisioned,
    VmPowerChangeStarted,
)
from shared.contract.problems import Problem, Reason
from shared.contract.resources import OperationState, Phase, StepState, Verb
from tests.unit.scheduler.driver import ANSWERS, START, Driver


def test_a_vm_becomes_active_through_its_steps() -> None:
    """Port first; then server and floating IP side by side; active when both are proven."""
    vm = Driver().admit()
    assert vm.names() == {"PrepareVmPort"}
    vm.answer("PrepareVmPort")
    assert vm.names() == {"ProvisionVm", "AssociateFloatingIp"}
    vm.answer("ProvisionVm").answer("AssociateFloatingIp")
    assert vm.phase() is Phase.PROVISIONING
    vm.see_active()
    assert vm.phases == [Phase.REQUESTED, Phase.PROVISIONING, Phase.ACTIVE]
    assert vm.status.outputs["floating_ip"] == "203.0.113.9"
    assert vm.status.outputs["server_id"] == "server-1"
    assert not vm.timers


def test_a_vm_without_floating_ip_has_no_such_step() -> None:
    """What isn't asked for is neither made nor shown."""
    vm = Driver(floating_ip=False).make()
    assert [step.name for step in vm.status.steps] == ["port", "server"]
    assert vm.phase() is Phase.ACTIVE


@pytest.mark.parametrize(
    "seen",
    [
        {"server_status": "BUILD"},
        {"server_status": "ACTIVE", "port_status": "DOWN"},
        {"server_status": "ACTIVE"},
        {"server_status": "SHUTOFF", "port_status": "ACTIVE"},
    ],
)
def test_active_means_proven(seen: dict[str, str]) -> None:
    """Anything less than an ACTIVE server with its port up is not active."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort").answer("ProvisionVm")
    vm.see(**seen)
    assert vm.phase() is Phase.PROVISIONING


def test_an_observation_from_before_the_acceptance_proves_nothing() -> None:
    """A list call that began before the server was accepted can't end its wait."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort")
    vm.now += timedelta(seconds=60)
    vm.answer("ProvisionVm")
    vm.now -= timedelta(seconds=30)
    vm.see_active()
    assert vm.phase() is Phase.PROVISIONING


def test_a_temporary_failure_keeps_the_phase_and_says_why() -> None:
    """An outage holds the step up; the next attempt clears the reason."""
    vm = Driver().admit()
    vm.fail("PrepareVmPort", Reason.BACKEND_UNAVAILABLE, retryable=True, detail="no route")
    assert vm.phase() is Phase.PROVISIONING
    assert (vm.status.reason, vm.status.message) == (Reason.BACKEND_UNAVAILABLE, "no route")
    assert vm.step("port") is StepState.RETRYING
    vm.ring("retry/port")
    assert vm.command("PrepareVmPort").attempt == 2
    vm.answer("PrepareVmPort")
    assert vm.reason() is None


def test_an_outage_during_the_wait_is_shown_and_passes() -> None:
    """Inspections that fail set the reason; the next one that succeeds clears it."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort").answer("ProvisionVm")
    vm.unreachable()
    assert vm.reason() is Reason.BACKEND_UNAVAILABLE
    vm.see(server_status="BUILD")
    assert vm.reason() is None
    assert vm.phase() is Phase.PROVISIONING


def test_a_permanent_failure_undoes_what_began_and_fails() -> None:
    """The problem carries the backend's words; nothing is held any more."""
    vm = Driver().admit().answer("PrepareVmPort").answer("AssociateFloatingIp")
    vm.fail("ProvisionVm", Reason.IMAGE_NOT_FOUND, retryable=False, detail="no image x")
    assert vm.phase() is Phase.DEPROVISIONING
    assert vm.names() == {"DeprovisionVm", "ReleaseFloatingIp"}
    vm.answer("DeprovisionVm", VmDeprovisioned()).answer("ReleaseFloatingIp")
    vm.answer("ReleaseVmPort")
    assert vm.phase() is Phase.FAILED
    assert vm.status.error is not None
    assert vm.status.error.detail == "no image x"
    assert not vm.timers


def test_no_valid_host_fails_with_novas_words_where_there_is_one_cloud() -> None:
    """ERROR with a fault ends in failed, with the fault's text and whether a retry may help."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort").answer("ProvisionVm")
    fault = Problem(
        title="x", detail="No valid host was found.", reason=Reason.NO_VALID_HOST, retryable=True
    )
    vm.see(server_status="ERROR", fault=fault).undo()
    assert vm.phases[-2:] == [Phase.DEPROVISIONING, Phase.FAILED]
    assert vm.status.error == fault
    assert vm.reason() is Reason.NO_VALID_HOST


def test_no_valid_host_goes_elsewhere_where_there_is_another_cloud() -> None:
    """It is undone here and waits for a place on a cloud that hasn't refused yet."""
    vm = Driver(floating_ip=False).admit(("other",)).answer("PrepareVmPort").answer("ProvisionVm")
    fault = Problem(title="x", detail="No valid host was found.", reason=Reason.NO_VALID_HOST)
    vm.see(server_status="ERROR", fault=fault).undo()
    assert vm.phase() is Phase.WAITING
    assert vm.state.refusals == {"devcloud": fault}
    attempts = {name: one.attempt for name, one in vm.state.progress.items()}
    vm.admit(cloud="other")
    assert vm.command("PrepareVmPort").attempt == attempts["port"] + 1


def test_the_clouds_own_quota_sends_it_back_into_the_queue() -> None:
    """What the cloud's quota refuses is undone and waits, with the cloud's words."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort")
    vm.fail("ProvisionVm", Reason.QUOTA_EXCEEDED, retryable=False, detail="Quota exceeded: cores")
    vm.undo()
    assert vm.phase() is Phase.WAITING
    assert vm.reason() is Reason.QUOTA_EXCEEDED
    assert vm.status.message == "Quota exceeded: cores"
    vm.make()
    assert vm.phase() is Phase.ACTIVE


def test_what_nova_accepted_and_then_had_no_quota_for_goes_back_into_the_queue_too() -> None:
    """Two that came at once have both seen room; Nova looks once more, and one is in ERROR."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort").answer("ProvisionVm")
    fault = Problem(title="x", detail="2 of 1", reason=Reason.QUOTA_EXCEEDED, retryable=True)
    vm.see(server_status="ERROR", fault=fault).undo()
    assert vm.phases[-2:] == [Phase.DEPROVISIONING, Phase.WAITING]
    assert vm.status.error is None


def test_what_the_clouds_quota_could_never_hold_fails() -> None:
    """More than the whole quota is not waited for."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort")
    never = Problem(title="x", detail="too much", reason=Reason.QUOTA_EXCEEDED)
    failed = CommandFailed(command="ProvisionVm", problem=never, retryable=False)
    vm.answer("ProvisionVm", failed).undo()
    assert (vm.phase(), vm.reason()) == (Phase.FAILED, Reason.QUOTA_EXCEEDED)


def test_delete_while_building_undoes_in_reverse() -> None:
    """The port goes only after what stands on it has gone."""
    vm = (
        Driver().admit().answer("PrepareVmPort").answer("ProvisionVm").answer("AssociateFloatingIp")
    )
    vm.delete()
    assert vm.phase() is Phase.DEPROVISIONING
    assert vm.names() == {"DeprovisionVm", "ReleaseFloatingIp"}
    vm.answer("ReleaseFloatingIp").answer("DeprovisionVm")
    assert not vm.open
    vm.see(gone=True)
    assert vm.names() == {"ReleaseVmPort"}
    vm.answer("ReleaseVmPort")
    assert vm.phase() is Phase.DELETED


def test_nothing_is_undone_before_its_open_command_has_answered() -> None:
    """A command on its way could make what was just undone: so undo waits for its answer."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort")
    vm.delete()
    assert vm.names() == {"ProvisionVm"}
    vm.answer("ProvisionVm")
    assert vm.names() == {"DeprovisionVm"}


def test_a_command_that_never_answers_expires_and_is_then_undone() -> None:
    """Expired: it can't start any more, and its request is over. Then the undo looks for it."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort").delete()
    vm.ring("expiry/server")
    assert vm.command("DeprovisionVm").attempt == 2


def test_an_expired_attempt_is_tried_again_and_its_late_answer_is_refused() -> None:
    """Events of an older attempt decide nothing; that there may be another server is remembered."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort")
    vm.ring("expiry/server").ring("retry/server")
    before = vm.state
    vm.event("server", 1, VmBuildStarted(server_id="server-late"))
    assert vm.state.resource == before.resource
    assert vm.names() == {"ProvisionVm"}
    assert "server_id" not in vm.state.handles
    assert vm.state.handles[doubt_of("server")] == "server-late"
    doubted = vm.state
    vm.now += timedelta(seconds=1)
    vm.event("server", 1, VmBuildStarted(server_id="server-late"))
    assert vm.state == doubted
    vm.open.pop(0)
    vm.answer("ProvisionVm").see_active()
    assert vm.state.handles["server_id"] == "server-1"


def test_a_second_delivery_of_any_answer_changes_nothing() -> None:
    """At every point of the way the last answer may come again."""
    vm = Driver()
    vm.admit()
    for name in ("PrepareVmPort", "ProvisionVm", "AssociateFloatingIp"):
        command = vm.command(name)
        vm.answer(name)
        before = vm.state
        vm.event(command.step, command.attempt, ANSWERS[name])
        assert vm.state == before


@pytest.mark.parametrize("phase", ["requested", "waiting", "failed", "deleted"])
def test_delete_of_what_holds_nothing_is_done_at_once(phase: str) -> None:
    """Delete is legal in every phase and ends in deleted."""
    vm = Driver(floating_ip=False)
    if phase == "failed":
        vm.admit().fail("PrepareVmPort", Reason.NETWORK_NOT_FOUND, retryable=False).undo()
    if phase == "deleted":
        vm.delete()
    revision = vm.state.resource.revision
    vm.delete()
    assert vm.phase() is Phase.DELETED
    assert not vm.open
    assert vm.state.resource.revision == revision + (phase != "deleted")


def test_delete_wins_over_a_failure_under_way() -> None:
    """A delete that comes while a failure is being undone ends in deleted."""
    vm = Driver(floating_ip=False).admit()
    vm.fail("PrepareVmPort", Reason.NETWORK_NOT_FOUND, retryable=False).delete().undo()
    assert vm.phase() is Phase.DELETED


def test_an_answer_for_a_step_that_there_is_not_changes_nothing() -> None:
    """Of another version, or of nobody's: it is not ours to fail over."""
    vm = Driver().make()
    before = vm.state
    failed = CommandFailed(command="x", problem=Problem(title="x"), retryable=False)
    assert vm.event("no-such-step", 1, failed).state == before


def test_an_undo_never_gives_up() -> None:
    """Whatever the backend says to a delete, it is tried again, and the reason is shown."""
    vm = Driver(floating_ip=False).make().delete()
    for _ in range(20):
        vm.fail("DeprovisionVm", Reason.BACKEND_REFUSED, retryable=False, detail="locked")
        assert (vm.status.phase, vm.status.message) == (Phase.DEPROVISIONING, "locked")
        vm.ring("retry/server")
    vm.undo()
    assert vm.phase() is Phase.DELETED


def test_a_deletion_that_nova_accepted_in_vain_is_ordered_again() -> None:
    """A server whose deletion ends in ERROR would else be waited for without end."""
    vm = Driver(floating_ip=False).make().delete().answer("DeprovisionVm")
    vm.see(server_status="ERROR")
    assert not vm.open
    vm.ring("retry/server").answer("DeprovisionVm").see(gone=True)
    assert "retry/server" not in vm.timers
    assert vm.undo().phase() is Phase.DELETED


def test_a_deadline_that_passes_undoes_the_making() -> None:
    """Also while waiting; the reason says so."""
    waiting = Driver(deadline=60).ring("deadline")
    assert waiting.phase() is Phase.FAILED
    building = Driver(deadline=60, floating_ip=False).admit().answer("PrepareVmPort")
    building.answer("ProvisionVm").ring("deadline").undo()
    assert building.phase() is Phase.FAILED
    assert building.reason() is Reason.DEADLINE_EXCEEDED


def test_a_deadline_that_passes_while_it_is_undone_to_wait_again_counts() -> None:
    """What the cloud's quota refused must not go back into the queue after its deadline."""
    vm = Driver(deadline=60, floating_ip=False).admit().answer("PrepareVmPort")
    vm.fail("ProvisionVm", Reason.QUOTA_EXCEEDED, retryable=False).ring("deadline").undo()
    assert (vm.status.phase, vm.status.reason) == (Phase.FAILED, Reason.DEADLINE_EXCEEDED)


def test_a_deadline_does_not_touch_what_is_active() -> None:
    """The deadline is for the making alone."""
    assert "deadline" not in Driver(deadline=60).make().timers


def test_a_lease_runs_from_active_and_its_end_deletes() -> None:
    """The lease's time begins when the VM is of use."""
    vm = Driver(lease=100).make()
    assert vm.timers["lease"] == vm.now + timedelta(seconds=100)
    vm.ring("lease").undo()
    assert vm.phase() is Phase.DELETED
    assert vm.reason() is Reason.LEASE_EXPIRED


def test_a_lease_that_rings_early_rings_again() -> None:
    """The database's clock may be ahead of ours: the lease must not be forgotten for that."""
    vm = Driver(lease=100).make()
    due_at = vm.timers.pop("lease")
    vm.ring_early("lease")
    assert (vm.phase(), vm.timers["lease"]) == (Phase.ACTIVE, due_at)


def test_an_extended_lease_ends_later() -> None:
    """The old timer, should it ring all the same, finds the lease lengthened."""
    vm = Driver(lease=100).make()
    vm.ask(Verb.EXTEND, lease_ttl=1000)
    assert vm.timers["lease"] == vm.now + timedelta(seconds=1000)
    lease = vm.state.resource.lease
    assert lease is not None
    assert lease.expires_at == vm.timers["lease"]


def test_what_someone_removed_behind_our_back_fails_and_leaves_nothing() -> None:
    """The rest of it (port, floating IP) is undone."""
    vm = Driver().make().see(gone=True)
    assert vm.phase() is Phase.DEPROVISIONING
    vm.undo()
    assert vm.phase() is Phase.FAILED
    assert vm.reason() is Reason.REMOVED_EXTERNALLY


def test_late_news_of_a_former_server_touches_nothing() -> None:
    """A VM that was undone to wait again has had another server before."""
    vm = Driver().make()
    before = vm.state
    vm.see(gone=True, server_id="server-0")
    assert vm.state == before


def test_the_server_that_is_seen_alive_is_the_vms() -> None:
    """Of two that a lost answer left, the other one than was told first may have survived."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort").answer("ProvisionVm")
    vm.see(server_id="server-2", server_status="ACTIVE", port_status="ACTIVE")
    assert (vm.phase(), vm.status.outputs["server_id"]) == (Phase.ACTIVE, "server-2")
    assert vm.state.handles["server_id"] == "server-2"
    assert vm.see(gone=True, server_id="server-2").phase() is Phase.DEPROVISIONING


def test_a_server_in_error_is_told_and_kept() -> None:
    """A living VM that breaks is the user's to judge: it is not undone, and may recover."""
    vm = Driver().make().see(server_status="ERROR")
    assert (vm.status.phase, vm.status.reason) == (Phase.ACTIVE, Reason.SERVER_ERROR)
    vm.see_active()
    assert vm.reason() is None


def test_power_actions_are_operations_one_after_the_other() -> None:
    """The second begins when the first was seen to be done; the phase stays."""
    vm = Driver(floating_ip=False).make()
    vm.ask(Verb.STOP, operation_id="a").ask(Verb.START, operation_id="b")
    assert vm.names() == {"ChangeVmPower"}
    vm.answer("ChangeVmPower", VmPowerChangeStarted(operation_id="a"))
    vm.see(server_status="ACTIVE", task_state="powering-off", port_status="ACTIVE")
    assert [one.state for one in vm.status.operations] == [
        OperationState.RUNNING,
        OperationState.REQUESTED,
    ]
    vm.see(server_status="SHUTOFF")
    assert vm.status.outputs["power_state"] == "stopped"
    vm.answer("ChangeVmPower", VmPowerChangeStarted(operation_id="b")).see_active()
    assert [one.state for one in vm.status.operations] == [OperationState.DONE] * 2
    assert vm.phase() is Phase.ACTIVE


def test_a_repeated_power_request_is_one_operation() -> None:
    """The operation's id makes the second delivery harmless."""
    vm = Driver(floating_ip=False).make()
    vm.ask(Verb.REBOOT, operation_id="a").ask(Verb.REBOOT, operation_id="a")
    assert len(vm.status.operations) == 1
    assert len(vm.open) == 1


def test_no_operation_is_forgotten_before_it_has_ended() -> None:
    """However many are asked for while the first is under way; those beyond the bound fail."""
    vm = Driver(floating_ip=False).make()
    for number in range(30):
        vm.ask(Verb.REBOOT, operation_id=f"op-{number}")
    states = [one.state for one in vm.status.operations]
    assert states[:20] == [OperationState.RUNNING] + [OperationState.REQUESTED] * 19
    assert states[20:] == [OperationState.FAILED]
    assert len(vm.open) == 1
    vm.answer("ChangeVmPower", VmPowerChangeStarted(operation_id="op-0")).see_active()
    assert vm.status.operations[0].state is OperationState.DONE


def test_what_comes_too_late_is_recorded_as_failed() -> None:
    """A verb on what is going away fails with the reason, and deletes go on."""
    vm = Driver(floating_ip=False).make().delete()
    vm.ask(Verb.REBOOT, operation_id="a")
    (operation,) = vm.status.operations
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert operation.error.reason == Reason.WRONG_PHASE


def test_a_build_that_never_ends_is_given_up() -> None:
    """Each step has its bound; then it is undone."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort").answer("ProvisionVm")
    assert vm.timers["overdue/server"] == START + timedelta(seconds=1800)
    vm.ring("overdue/server").undo()
    assert (vm.status.phase, vm.status.reason) == (Phase.FAILED, Reason.BACKEND_TIMEOUT)


def test_a_server_that_lost_its_port_is_made_anew() -> None:
    """It runs and can't be reached: that is not active, and no reason to fail."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort").answer("ProvisionVm")
    vm.see(server_status="ACTIVE", port_status="DOWN", port_lost=True)
    assert vm.phase() is Phase.PROVISIONING
    assert vm.step("server") is StepState.RETRYING
    vm.ring("retry/server")
    again = VmBuildStarted(server_id="server-2", doubtful=True)
    vm.answer("ProvisionVm", again).see(
        server_id="server-2", server_status="ACTIVE", port_status="ACTIVE"
    )
    assert vm.phase() is Phase.ACTIVE
    assert vm.status.outputs["server_id"] == "server-2"


def test_where_a_second_server_may_exist_only_an_inspection_proves_the_vm() -> None:
    """What the cloud tells of one server says nothing of another, which may harm it."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort")
    vm.answer("ProvisionVm", VmBuildStarted(server_id="server-1", doubtful=True))
    vm.see(server_status="ACTIVE", port_status="ACTIVE", notified=True)
    assert vm.phase() is Phase.PROVISIONING
    vm.see_active()
    assert vm.phase() is Phase.ACTIVE


def test_a_second_server_is_waited_for_beyond_its_end() -> None:
    """The host that gives up its build takes the port off the first a while after it is gone."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort")
    vm.answer("ProvisionVm", VmBuildStarted(server_id="server-1", doubtful=True))
    vm.see(server_status="ACTIVE", beside=True).see_active()
    assert vm.phase() is Phase.PROVISIONING
    vm.now += timedelta(seconds=60)
    vm.see(server_status="ACTIVE", port_status="DOWN", port_lost=True)
    assert vm.step("server") is StepState.RETRYING
    vm.ring("retry/server").answer("ProvisionVm").see_active()
    assert vm.phase() is Phase.ACTIVE


def test_an_active_vm_that_lost_its_port_says_so() -> None:
    """It stays, as a broken server does, with the reason."""
    vm = Driver().make().see(server_status="ACTIVE", port_status="DOWN", port_lost=True)
    assert (vm.phase(), vm.reason()) == (Phase.ACTIVE, Reason.SERVER_ERROR)
    assert vm.see_active().reason() is None
