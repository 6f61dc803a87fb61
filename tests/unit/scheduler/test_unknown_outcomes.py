"""What a cloud did not answer it may yet do: nothing is called undone before that has shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.scheduler.ledger import inspection_of
from services.scheduler.walk import UNKNOWN_LIFE
from shared.contract.messages import (
    CommandFailed,
    DeprovisionVm,
    ProvisionVm,
    ReleaseVmPort,
    VmBuildStarted,
    VmDeletionStarted,
    VmDeprovisioned,
    VmPortPrepared,
)
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Phase, StepState
from tests.unit.scheduler.driver import Driver

UNANSWERED = Problem(
    title="x", detail="no answer", reason=Reason.BACKEND_UNAVAILABLE, retryable=True
)


def unanswered(command: str, wish: int | None = None) -> CommandFailed:
    return CommandFailed(
        command=command, problem=UNANSWERED, retryable=True, unknown=True, retry_after=wish
    )


def building() -> Driver:
    return Driver(floating_ip=False).admit().answer("PrepareVmPort")


def test_a_backend_is_left_alone_as_long_as_it_wants() -> None:
    """Its wish lengthens the pause, up to a bound; it never shortens it."""
    for wish, seconds in ((None, 1), (0, 1), (15, 15), (3600, 60)):
        vm = building().answer("ProvisionVm", unanswered("ProvisionVm", wish))
        assert vm.timers["retry/server"] == vm.now + timedelta(seconds=seconds)


def test_a_deletion_right_behind_an_unanswered_creation_is_looked_at_again() -> None:
    """Nova shows nothing yet; the port stays, and what then appears is removed too."""
    vm = building().answer("ProvisionVm", unanswered("ProvisionVm"))
    since = vm.now
    vm.delete().answer("DeprovisionVm", VmDeprovisioned())
    assert (vm.names(), vm.phase()) == (set(), Phase.DEPROVISIONING)
    assert vm.timers["retry/server"] == since + UNKNOWN_LIFE
    vm.ring("retry/server")
    vm.answer("DeprovisionVm", VmDeletionStarted(server_id="late", doubtful=True))
    vm.see(server_id=None, gone=True)
    vm.answer("ReleaseVmPort")
    assert vm.phase() is Phase.DELETED


def test_a_server_seen_gone_too_early_proves_nothing() -> None:
    """One of two tries went; whether the other one comes shows only later."""
    vm = building().answer("ProvisionVm", unanswered("ProvisionVm"))
    vm.delete().answer("DeprovisionVm", VmDeletionStarted(server_id="server-1"))
    vm.see(gone=True)
    assert vm.step("server") is StepState.UNDOING
    vm.ring("retry/server").answer("DeprovisionVm", VmDeprovisioned())
    vm.answer("ReleaseVmPort")
    assert vm.phase() is Phase.DELETED


def test_an_unanswered_port_is_looked_for_again_too() -> None:
    """As with servers."""
    vm = Driver(floating_ip=False).admit().answer("PrepareVmPort", unanswered("PrepareVmPort"))
    vm.delete().answer("ReleaseVmPort")
    assert vm.phase() is Phase.DEPROVISIONING
    vm.ring("retry/port").answer("ReleaseVmPort")
    assert vm.phase() is Phase.DELETED


def test_what_failed_with_a_word_is_undone_at_once() -> None:
    """A refusal, or a cloud that could not be reached at all, leaves nothing open."""
    vm = building().fail("ProvisionVm", Reason.BACKEND_UNAVAILABLE, retryable=True)
    vm.delete().answer("DeprovisionVm", VmDeprovisioned()).answer("ReleaseVmPort")
    assert vm.phase() is Phase.DELETED


def test_a_second_answer_that_names_another_server_is_not_forgotten() -> None:
    """Two workers were at one command: all servers are looked for when the VM is deleted."""
    vm = building()
    attempt = vm.command("ProvisionVm").attempt
    vm.answer("ProvisionVm", VmBuildStarted(server_id="server-1"))
    vm.event("server", attempt, VmBuildStarted(server_id="server-2", doubtful=True))
    assert vm.state.handles["server_id"] == "server-1"
    vm.see_active().delete()
    assert vm.command("DeprovisionVm").message == DeprovisionVm(
        cloud="devcloud", server_id="server-1", doubtful=True
    )
    vm.answer("DeprovisionVm").see(gone=True, notified=True)
    assert vm.step("server") is StepState.UNDOING


def test_the_same_answer_twice_is_no_doubt() -> None:
    """A second delivery that came to the same."""
    vm = building()
    attempt = vm.command("ProvisionVm").attempt
    vm.answer("ProvisionVm").event("server", attempt, VmBuildStarted(server_id="server-1"))
    vm.see_active().delete()
    assert vm.command("DeprovisionVm").message == DeprovisionVm(
        cloud="devcloud", server_id="server-1"
    )


def test_another_port_told_of_while_it_is_being_released_is_looked_for() -> None:
    """The release was of one; it is ordered again, of all."""
    vm = Driver(floating_ip=False).admit()
    attempt = vm.command("PrepareVmPort").attempt
    vm.answer("PrepareVmPort").fail("ProvisionVm", Reason.IMAGE_NOT_FOUND, retryable=False)
    vm.answer("DeprovisionVm", VmDeprovisioned())
    other = VmPortPrepared(port_id="port-2", network_id="net-1", mac_address="02:00:00:00:00:02")
    vm.event("port", attempt, other).answer("ReleaseVmPort")
    vm.ring("retry/port")
    assert vm.command("ReleaseVmPort").message == ReleaseVmPort(
        cloud="devcloud", port_id="port-1", doubtful=True
    )
    vm.answer("ReleaseVmPort")
    assert vm.phase() is Phase.FAILED


def test_nothing_is_made_anew_while_the_first_may_still_come() -> None:
    """The next attempts look for it until then; each says until when."""
    vm = building().answer("ProvisionVm", unanswered("ProvisionVm", 5))
    until = vm.now + UNKNOWN_LIFE
    vm.ring("retry/server")
    message = vm.command("ProvisionVm").message
    assert isinstance(message, ProvisionVm)
    assert message.look_until == until
    vm.fail("ProvisionVm", Reason.BACKEND_REFUSED, retryable=True).ring("retry/server")
    message = vm.command("ProvisionVm").message
    assert isinstance(message, ProvisionVm)
    assert message.look_until == until  # looking is no new request: it doesn't move


def two_servers() -> Driver:
    """A second attempt that found nothing has made server-1; the first may have made another."""
    vm = building().answer("ProvisionVm", unanswered("ProvisionVm")).ring("retry/server")
    return vm.answer("ProvisionVm", VmBuildStarted(server_id="server-1", doubtful=True))


FAULT = Problem(title="x", detail="Port in use", reason=Reason.BUILD_FAILED)


@pytest.mark.parametrize(
    "told", [{"server_status": "ERROR", "fault": FAULT}, {"gone": True}], ids=["error", "gone"]
)
def test_of_two_servers_the_end_of_one_is_not_that_of_the_vm(told: dict[str, Any]) -> None:
    """What is told of the one that the ledger knows is looked into; the other one lives."""
    vm = two_servers().see(**told, notified=True)
    assert (vm.phase(), vm.step("server")) == (Phase.PROVISIONING, StepState.RUNNING)
    assert inspection_of(vm.state) == "soon"
    vm.see(server_id="server-2", server_status="ACTIVE", beside=True)
    assert vm.phase() is Phase.PROVISIONING
    vm.see(gone=True, notified=True)  # server-1, that was removed beside the other
    vm.now += timedelta(seconds=60)
    vm.see(server_id="server-2", server_status="ACTIVE", port_status="ACTIVE")
    assert vm.phase() is Phase.ACTIVE
    assert vm.status.outputs["server_id"] == "server-2"
    vm.delete()
    assert vm.command("DeprovisionVm").message == DeprovisionVm(
        cloud="devcloud", server_id="server-2", doubtful=True
    )


def test_what_another_server_has_broken_is_made_anew_once() -> None:
    """The last of two is in ERROR for the other's sake; a second ERROR is the cloud's own word."""
    vm = two_servers().see(server_status="BUILD", beside=True)
    vm.see(server_status="ERROR", fault=FAULT)
    assert (vm.phase(), vm.step("server")) == (Phase.PROVISIONING, StepState.RETRYING)
    vm.ring("retry/server")
    vm.answer("ProvisionVm", VmBuildStarted(server_id="server-3", doubtful=True))
    vm.see(server_id="server-3", server_status="ERROR", fault=FAULT)
    assert vm.phase() is Phase.DEPROVISIONING
    assert vm.reason() is Reason.BUILD_FAILED


def test_what_another_server_may_have_broken_unseen_is_made_anew_too() -> None:
    """Both went so fast that no inspection has seen them side by side."""
    vm = two_servers().see(server_status="ERROR", fault=FAULT)
    assert vm.step("server") is StepState.RETRYING
    vm.ring("retry/server")
    vm.answer("ProvisionVm", VmBuildStarted(server_id="server-3", doubtful=True))
    vm.see(server_id="server-3", server_status="ERROR", fault=FAULT)
    assert vm.reason() is Reason.BUILD_FAILED


def test_that_there_is_no_host_is_no_other_servers_doing() -> None:
    """Even where there may be two."""
    no_host = Problem(title="x", detail="No valid host was found.", reason=Reason.NO_VALID_HOST)
    vm = two_servers().see(server_status="ERROR", fault=no_host)
    assert vm.reason() is Reason.NO_VALID_HOST


def test_an_error_without_any_doubt_fails_at_once() -> None:
    """Nobody else can have broken it."""
    vm = building().answer("ProvisionVm").see(server_status="ERROR", fault=FAULT)
    assert vm.reason() is Reason.BUILD_FAILED


def test_an_error_without_a_reason_may_pass() -> None:
    """A compute host that was killed in mid-build comes back, and finishes what it was at."""
    vm = building().answer("ProvisionVm").see(server_status="ERROR", notified=True)
    assert (vm.phase(), inspection_of(vm.state)) == (Phase.PROVISIONING, "soon")
    vm.see(server_status="BUILD")
    vm.now += timedelta(seconds=60)
    vm.see(server_status="ERROR")  # another one: its time begins anew
    assert vm.phase() is Phase.PROVISIONING
    assert vm.see_active().phase() is Phase.ACTIVE


def test_an_error_without_a_reason_that_lasts_fails() -> None:
    """Nothing more is to be had of Nova than that."""
    vm = building().answer("ProvisionVm").see(server_status="ERROR")
    vm.now += timedelta(seconds=15)
    vm.see(server_status="ERROR")
    assert vm.reason() is Reason.BUILD_FAILED
    assert vm.status.message == "Nova gave no reason."
