"""What a cloud did not answer it may yet do: nothing is called undone before that has shown."""

from __future__ import annotations

from datetime import timedelta

from services.scheduler.walk import UNKNOWN_LIFE
from shared.contract.messages import (
    CommandFailed,
    DeprovisionVm,
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
