"""A cloud dies before anything was made there: the request goes elsewhere, and leaves nothing."""

from __future__ import annotations

from services.scheduler.walk import UNKNOWN_LIFE
from shared.contract.messages import CommandFailed
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Phase, StepState
from tests.unit.scheduler.driver import Driver

DEAD = ("devcloud",)


def _stranded() -> Driver:
    """Its first step fails, and the cloud has failed so often that it rests."""
    vm = Driver(floating_ip=False).admit(("other",))
    vm.fail("PrepareVmPort", Reason.BACKEND_UNAVAILABLE, retryable=True)
    return vm.ring("retry/port", DEAD)


def test_it_waits_for_another_cloud_and_the_undo_follows_behind() -> None:
    """Whether the port was made is unknown: it is released on the cloud that was left."""
    vm = _stranded()
    assert vm.phase() is Phase.WAITING
    assert vm.status.placement is None
    (command,) = vm.open
    assert (type(command.message).__name__, command.message.cloud) == (  # type: ignore[attr-defined]
        "ReleaseVmPort",
        "devcloud",
    )
    assert vm.step("port") is StepState.PENDING


def test_it_becomes_active_elsewhere_while_the_undo_goes_on() -> None:
    """The dead cloud's failures are no word in its status, and its undo survives the making."""
    vm = _stranded().admit(cloud="other")
    vm.fail("ReleaseVmPort", Reason.BACKEND_UNAVAILABLE, retryable=True)
    vm.answer("PrepareVmPort").answer("ProvisionVm").see_active()
    assert (vm.phase(), vm.reason()) == (Phase.ACTIVE, None)
    vm.ring("retry/left-devcloud").answer("ReleaseVmPort")
    assert not vm.state.left_behind
    assert not vm.open
    assert not vm.timers


def test_it_is_not_deleted_before_what_it_left_is_gone() -> None:
    """Deleted means that it holds nothing, on any cloud."""
    vm = _stranded().admit(cloud="other")
    vm.fail("ReleaseVmPort", Reason.BACKEND_UNAVAILABLE, retryable=True)
    vm.delete().answer("PrepareVmPort").answer("ReleaseVmPort")
    assert vm.phase() is Phase.DEPROVISIONING
    assert "devcloud" in (vm.status.message or "")
    vm.ring("retry/left-devcloud").answer("ReleaseVmPort")
    assert vm.phase() is Phase.DELETED


def test_what_the_cloud_that_was_left_did_not_answer_is_looked_for_twice() -> None:
    """It may yet make the port; that there is none counts only when that can't be any more."""
    vm = Driver(floating_ip=False).admit(("other",))
    vm.fail("PrepareVmPort", Reason.BACKEND_UNAVAILABLE, retryable=True, unknown=True)
    since = vm.now
    vm.ring("retry/port", DEAD).answer("ReleaseVmPort")
    assert vm.state.left_behind
    assert vm.timers["retry/left-devcloud"] == since + UNKNOWN_LIFE
    vm.ring("retry/left-devcloud").answer("ReleaseVmPort")
    assert not vm.state.left_behind


def test_without_another_cloud_it_stays_and_tries_again() -> None:
    """Nothing is gained by waiting in the queue."""
    vm = Driver(floating_ip=False).admit()
    vm.fail("PrepareVmPort", Reason.BACKEND_UNAVAILABLE, retryable=True)
    vm.ring("retry/port", DEAD)
    assert vm.names() == {"PrepareVmPort"}


def test_where_the_others_rest_too_it_stays() -> None:
    """One dead cloud is as good as another."""
    vm = Driver(floating_ip=False).admit(("other",))
    vm.fail("PrepareVmPort", Reason.BACKEND_UNAVAILABLE, retryable=True)
    vm.ring("retry/port", ("devcloud", "other"))
    assert vm.names() == {"PrepareVmPort"}


def test_once_a_server_was_ordered_it_stays() -> None:
    """The order may have been heard although it failed; there shall never be two servers."""
    vm = Driver(floating_ip=False).admit(("other",)).answer("PrepareVmPort")
    vm.fail("ProvisionVm", Reason.BACKEND_UNAVAILABLE, retryable=True)
    vm.ring("retry/server", DEAD)
    assert vm.names() == {"ProvisionVm"}


def test_what_one_cloud_lacks_is_looked_for_on_another() -> None:
    """Image, flavor, network: elsewhere the name may be known; at the end all words are told."""
    vm = Driver(floating_ip=False).admit(("other",)).answer("PrepareVmPort")
    vm.fail("ProvisionVm", Reason.IMAGE_NOT_FOUND, retryable=False, detail="none here").undo()
    assert vm.phase() is Phase.WAITING
    vm.admit(cloud="other").answer("PrepareVmPort")
    problem = Problem(title="x", detail="nor here", reason=Reason.IMAGE_NOT_FOUND)
    failed = CommandFailed(command="ProvisionVm", problem=problem, retryable=False)
    vm.answer("ProvisionVm", failed).undo()
    assert (vm.phase(), vm.reason()) == (Phase.FAILED, Reason.IMAGE_NOT_FOUND)
    assert vm.status.error is not None
    assert vm.status.error.detail == "devcloud: none here; other: nor here"
