"""What a cloud tells by itself (``notified``), in the workflow of a VM."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.scheduler.ledger import inspection_of
from shared.contract.messages import VmBuildStarted, VmDeprovisioned, VmPowerChangeStarted
from shared.contract.problems import Problem, Reason
from shared.contract.resources import OperationState, Phase, StepState, Verb
from tests.unit.scheduler.driver import Driver

UP = {"server_status": "ACTIVE", "port_status": "ACTIVE", "notified": True}


def building() -> Driver:
    """Its server is being built."""
    return Driver(floating_ip=False).admit().answer("PrepareVmPort").answer("ProvisionVm")


def test_what_is_told_ends_a_wait() -> None:
    """As an inspection would."""
    assert building().see(**UP).phase() is Phase.ACTIVE


def test_what_happened_before_the_acceptance_was_known_counts_too() -> None:
    """Unlike an inspection's, it is of this very server, and it has happened."""
    vm = building()
    vm.see(**UP, observed_at=vm.now - timedelta(seconds=30))
    assert vm.phase() is Phase.ACTIVE


def test_what_is_told_before_the_command_is_answered_waits_for_the_answer() -> None:
    """A quick cloud overtakes the worker: nothing is lost, and nothing ends before its time."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort").see(**UP)
    assert vm.phase() is Phase.PROVISIONING
    assert vm.answer("ProvisionVm").phase() is Phase.ACTIVE
    assert vm.state.progress["server"].early is None


def test_what_is_told_early_of_another_server_is_not_taken_for_this_one() -> None:
    """An older attempt's, which nobody wants any more."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort").see(**UP)
    vm.answer("ProvisionVm", VmBuildStarted(server_id="server-2"))
    assert vm.phase() is Phase.PROVISIONING
    assert vm.state.progress["server"].early is None
    assert vm.see(**UP, server_id="server-2").phase() is Phase.ACTIVE


def test_what_is_told_while_an_attempt_waits_for_the_next_is_kept_for_it() -> None:
    """The answer to the first was lost; the next finds the server that it had made."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort")
    vm.fail("ProvisionVm", Reason.BACKEND_TIMEOUT, retryable=True).see(**UP)
    assert vm.step("server") is StepState.RETRYING
    assert vm.ring("retry/server").answer("ProvisionVm").phase() is Phase.ACTIVE


def test_of_what_is_told_early_the_latest_counts() -> None:
    """Whatever the order of its arrival."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort")
    fault = Problem(title="x", detail="broken", reason=Reason.BUILD_FAILED)
    vm.see(server_status="ERROR", fault=fault, notified=True)
    vm.see(**UP, observed_at=vm.now - timedelta(seconds=5))
    vm.answer("ProvisionVm")
    assert vm.step("server") is StepState.UNDOING


@pytest.mark.parametrize(
    "seen",
    [
        {**UP, "server_id": "server-0"},
        {"gone": True, "notified": True, "server_id": "server-0"},
        {"server_status": "ERROR", "notified": True, "server_id": "server-0"},
        {**UP, "server_id": None},
    ],
)
def test_news_of_another_server_changes_nothing(seen: dict[str, Any]) -> None:
    """Neither while it is being built nor when it is active."""
    vm = building()
    before = vm.state
    assert vm.see(**seen).state == before
    before = vm.see(**UP).state
    assert vm.see(**seen).state == before


@pytest.mark.parametrize("port", [None, "DOWN", "BUILD"])
def test_less_than_a_proof_is_looked_at_again_soon(port: str | None) -> None:
    """Told or seen: a server without its port is not active, and nobody may tell of the port."""
    vm = building()
    assert inspection_of(vm.state) == "fast"
    vm.see(server_status="ACTIVE", port_status=port, notified=True)
    assert vm.phase() is Phase.PROVISIONING
    assert inspection_of(vm.state) == "soon"
    vm.see_active()
    assert vm.phase() is Phase.ACTIVE
    assert inspection_of(vm.state) == "slow"


def test_a_deletion_ends_when_it_is_told() -> None:
    """Also when it is told before the worker has answered."""
    vm = building().see(**UP).delete()
    vm.see(gone=True, notified=True)
    assert vm.step("server") is StepState.UNDOING
    vm.answer("DeprovisionVm")
    assert vm.step("server") is StepState.UNDONE
    assert vm.undo().phase() is Phase.DELETED


def test_the_end_of_what_was_never_seen_built_is_looked_for() -> None:
    """Nova tells nothing of a server that goes before it has a host; of others it does."""
    vm = building().delete().answer("DeprovisionVm")
    assert inspection_of(vm.state) == "soon"
    vm = building().see(**UP).delete().answer("DeprovisionVm")
    assert inspection_of(vm.state) == "fast"


def test_of_a_vm_that_may_have_two_servers_the_news_is_looked_into() -> None:
    """One of them is told of: up, or gone. What that means for the VM an inspection sees, soon."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort")
    vm.answer("ProvisionVm", VmBuildStarted(server_id="server-1", doubtful=True))
    for told, seen, step in (
        (UP, {"server_status": "ACTIVE", "port_status": "ACTIVE"}, StepState.DONE),
        ({"gone": True, "notified": True}, {"gone": True}, StepState.UNDONE),
    ):
        vm.see(**told)
        assert vm.step("server") is not step
        assert inspection_of(vm.state) == "soon"
        vm.see(**seen)
        assert vm.step("server") is step
        if step is StepState.DONE:
            vm.delete().answer("DeprovisionVm")


def test_the_end_of_a_server_that_was_never_up_is_looked_at() -> None:
    """Nova tells of it while its compute host is still building, and lists it until then."""
    vm = building().delete().answer("DeprovisionVm").see(gone=True, notified=True)
    assert vm.step("server") is StepState.UNDOING
    assert inspection_of(vm.state) == "soon"
    assert vm.see(gone=True).step("server") is StepState.UNDONE


def test_a_deletion_that_needs_no_wait_forgets_what_was_told() -> None:
    """The worker found that nothing was left."""
    vm = building().see(**UP).delete().see(gone=True, notified=True)
    vm.answer("DeprovisionVm", VmDeprovisioned())
    assert vm.state.progress["server"].early is None
    assert vm.undo().phase() is Phase.DELETED


@pytest.mark.parametrize("early", [False, True])
def test_an_operation_ends_when_its_end_is_told(early: bool) -> None:
    """Before or after the worker's answer; it has to have been ordered by then."""
    vm = building().see(**UP)
    vm.now += timedelta(seconds=1)
    vm.ask(Verb.REBOOT, operation_id="op-1")
    vm.see(**UP, observed_at=vm.now - timedelta(milliseconds=1))  # late news of its making
    accepted = VmPowerChangeStarted(operation_id="op-1")
    if early:
        vm.see(**UP)
        assert _operation(vm) is OperationState.RUNNING
        vm.answer("ChangeVmPower", accepted)
    else:
        vm.answer("ChangeVmPower", accepted)
        assert _operation(vm) is OperationState.RUNNING
        vm.see(**UP)
    assert _operation(vm) is OperationState.DONE


def _operation(vm: Driver) -> OperationState:
    return vm.status.operations[-1].state


def test_a_server_that_is_removed_behind_our_back_is_told() -> None:
    """The VM is undone at once."""
    vm = building().see(**UP).see(gone=True, notified=True)
    assert vm.reason() is Reason.REMOVED_EXTERNALLY
    assert vm.undo().phase() is Phase.FAILED


def test_older_news_of_a_living_vm_does_not_undo_newer() -> None:
    """Notifications and inspections overtake each other."""
    vm = building().see(**UP)
    vm.see(server_status="SHUTOFF", notified=True)
    vm.see(**UP, observed_at=vm.now - timedelta(seconds=1))
    assert vm.status.outputs["power_state"] == "stopped"
    vm.see(server_status="ACTIVE", observed_at=vm.now - timedelta(seconds=3))
    assert vm.status.outputs["power_state"] == "stopped"
    vm.see(**UP)
    assert vm.status.outputs["power_state"] == "running"
