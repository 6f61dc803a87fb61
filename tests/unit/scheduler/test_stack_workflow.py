"""Stacks on their way through the workflow: what Heat says, and what that proves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.scheduler import operations
from services.scheduler.ledger import inspection_of
from services.scheduler.state import Decision
from shared.contract.kinds import SEALED
from shared.contract.messages import (
    ChangeStack,
    DeprovisionStack,
    InspectStacks,
    ProvisionStack,
    RequestSubmitted,
    StackChangeStarted,
    StackCreateStarted,
    StackDeletionStarted,
    StackDeprovisioned,
    StackInspection,
    StackObserved,
    StackPart,
)
from shared.contract.problems import Reason
from shared.contract.resources import OperationState, Phase, Placement, StepState, Verb
from tests.unit.scheduler.walked import ULID, Walked

STACK = f"stack-{ULID}"
SPEC: dict[str, Any] = {"template_name": "two-vms", "parameters": {"image": "debian-12"}}


class Stack(Walked):
    """One stack, walked by hand."""

    def __init__(self, *, started: bool = True, **spec: Any) -> None:
        super().__init__("stack", {**SPEC, **spec}, Placement(cloud="devcloud"))
        if started:
            self.answer(StackCreateStarted(stack_id="heat-1"))

    def take(self, decision: Decision) -> None:
        self._take(decision)

    def operation(self) -> OperationState:
        """The state of the last one."""
        return self.status.operations[-1].state

    def see(self, status: str = "", **fields: Any) -> None:
        self.observe(StackObserved, stack_id="heat-1", stack_status=status or None, **fields)


def living() -> Stack:
    stack = Stack()
    stack.see("CREATE_COMPLETE", outputs={"url": "http://203.0.113.9/"})
    return stack


def test_the_command_says_what_was_asked_for() -> None:
    """The template by its name, and parameters; hidden ones go sealed."""
    asked = Stack(started=False).command().message
    assert asked == ProvisionStack(
        cloud="devcloud", template_name="two-vms", parameters={"image": "debian-12"}
    )


def test_complete_with_its_servers_running_is_active_and_shows_outputs() -> None:
    """In the template's own words."""
    stack = living()
    assert stack.phase() is Phase.ACTIVE
    assert stack.status.outputs == {
        "stack_id": "heat-1",
        "outputs": {"url": "http://203.0.113.9/"},
    }


@pytest.mark.parametrize(
    "seen",
    [
        {"status": "CREATE_IN_PROGRESS"},
        {"status": "CREATE_COMPLETE", "unproven": ("web: BUILD",), "outputs": {}},
        {"status": "CREATE_COMPLETE"},
    ],
)
def test_heats_word_alone_is_no_proof(seen: dict[str, Any]) -> None:
    """Its servers must be seen running, its outputs known; it is looked again soon."""
    stack = Stack()
    stack.see(**seen)
    assert stack.phase() is Phase.PROVISIONING
    assert inspection_of(stack.state) == "soon"


def test_an_accepted_stack_is_looked_at_often_though_its_cloud_tells_of_vms() -> None:
    """Of stacks it tells nothing."""
    assert inspection_of(Stack().state) == "soon"


def test_what_fails_ends_failed_with_heats_reason_once_it_is_gone() -> None:
    """It is deleted first, so that it holds nothing any more."""
    stack = Stack()
    stack.see("CREATE_FAILED", status_reason="Resource CREATE failed: resources.web: no host")
    assert stack.phase() is Phase.DEPROVISIONING
    assert stack.command().message == DeprovisionStack(cloud="devcloud", stack_id="heat-1")
    stack.answer(StackDeletionStarted(stack_id="heat-1"))
    stack.see("DELETE_IN_PROGRESS")
    assert stack.phase() is Phase.DEPROVISIONING
    stack.see(gone=True)
    assert (stack.phase(), stack.reason()) == (Phase.FAILED, Reason.STACK_FAILED)
    assert stack.status.error is not None
    assert stack.status.error.detail == "Resource CREATE failed: resources.web: no host"


def test_a_refused_template_fails_at_once() -> None:
    """What was refused may be there all the same, so it is looked for."""
    stack = Stack(started=False)
    stack.fail(Reason.TEMPLATE_INVALID, retryable=False, detail="No such type.")
    stack.answer(StackDeprovisioned())
    assert (stack.phase(), stack.reason()) == (Phase.FAILED, Reason.TEMPLATE_INVALID)


def test_what_heat_could_not_delete_is_deleted_again() -> None:
    """A delete never gives up, and says why it takes long."""
    stack = living()
    stack.delete()
    stack.answer(StackDeletionStarted(stack_id="heat-1"))
    stack.see("DELETE_FAILED", status_reason="Port in use")
    assert stack.state.step("stack").state is StepState.UNDOING
    assert stack.status.message == "Port in use"
    stack.ring("retry/stack")
    stack.answer(StackDeletionStarted(stack_id="heat-1"))
    stack.see(gone=True)
    assert stack.phase() is Phase.DELETED


def test_a_lost_answer_is_looked_for_by_the_next_attempt() -> None:
    """The same command under the next attempt: its worker looks before it makes."""
    stack = Stack(started=False)
    stack.ring("expiry/stack")
    stack.ring("retry/stack")
    again = stack.command("ProvisionStack")
    assert isinstance(again.message, ProvisionStack)
    assert again.attempt == 2


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"status": "CREATE_COMPLETE", "unproven": ("web: ERROR",)}, Reason.SERVER_ERROR),
        ({"status": "UPDATE_FAILED", "status_reason": "no"}, Reason.STACK_FAILED),
        ({"status": "CREATE_COMPLETE"}, None),
    ],
)
def test_a_living_stack_says_what_is_wrong_with_it(
    seen: dict[str, Any], reason: Reason | None
) -> None:
    """And stays: its owner decides."""
    stack = living()
    stack.see(**seen)
    assert (stack.phase(), stack.reason()) == (Phase.ACTIVE, reason)


def test_a_stack_that_was_removed_behind_our_back_is_lost() -> None:
    """Whoever did it."""
    stack = living()
    stack.see(gone=True)
    assert stack.reason() is Reason.REMOVED_EXTERNALLY
    assert stack.phase() is not Phase.ACTIVE


def test_one_that_takes_too_long_says_what_heat_still_was_at() -> None:
    """The first of the parts that are not complete."""
    stack = Stack()
    parts = (
        StackPart(name="net", type="OS::Neutron::Net", status="CREATE_COMPLETE"),
        StackPart(name="web", type="OS::Nova::Server", status="CREATE_IN_PROGRESS"),
    )
    stack.see("CREATE_IN_PROGRESS", parts=parts)
    stack.ring("overdue/stack")
    words = stack.status.message or ""
    assert "web: CREATE_IN_PROGRESS" in words
    assert "net" not in words


def test_a_stack_whose_engine_was_killed_fails_when_its_timeout_is_over() -> None:
    """Heat itself leaves it in progress for ever; ours is a while longer than Heat's own word."""
    stack = Stack(timeout=60)
    parts = (StackPart(name="web", type="OS::Nova::Server", status="CREATE_IN_PROGRESS"),)
    stack.now += timedelta(seconds=100)
    stack.see("CREATE_IN_PROGRESS", parts=parts)
    assert stack.phase() is Phase.PROVISIONING
    stack.now += timedelta(seconds=60)
    stack.see("CREATE_IN_PROGRESS", parts=parts)
    assert (stack.phase(), stack.reason()) == (Phase.DEPROVISIONING, Reason.BACKEND_TIMEOUT)
    assert stack.status.message == (
        "Heat has not ended it within its timeout of 60 s: web: CREATE_IN_PROGRESS."
    )


def test_of_a_second_attempt_heats_timeout_counts_from_its_own_beginning() -> None:
    """The step's own start is that of the first, which came to nothing long ago."""
    stack = Stack(started=False, timeout=60)
    stack.fail(Reason.BACKEND_UNAVAILABLE, retryable=True)
    stack.now += timedelta(seconds=600)
    stack.ring("retry/stack")
    stack.answer(StackCreateStarted(stack_id="heat-1"))
    stack.see("CREATE_IN_PROGRESS")
    assert stack.phase() is Phase.PROVISIONING


def test_what_was_too_large_to_be_told_is_told_once_it_fits() -> None:
    """And is then left out no more."""
    stack = Stack()
    stack.see("CREATE_COMPLETE", outputs={}, left_out=("large",))
    assert stack.status.outputs["left_out"] == ["large"]
    stack.see("CREATE_COMPLETE", outputs={"large": "x"})
    assert stack.status.outputs["left_out"] == []
    assert "left_out" not in living().status.outputs


def asked_to_change(stack: Stack, spec: dict[str, Any], operation_id: str = "op-1") -> None:
    request = RequestSubmitted(
        verb=Verb.UPDATE, kind="stack", resource_id=STACK, spec=spec, operation_id=operation_id
    )
    stack.take(operations.request(stack.state, stack.definition, stack.now, request))


def test_a_change_becomes_the_spec_when_it_is_done() -> None:
    """What is not named stays; a hidden parameter goes sealed, and isn't in the spec."""
    stack = living()
    asked_to_change(stack, {"parameters": {"flavor": "small"}, SEALED + "hidden_parameters": "box"})
    assert stack.command().message == ChangeStack(
        cloud="devcloud",
        stack_id="heat-1",
        operation_id="op-1",
        template_name="two-vms",
        stored_template=True,
        parameters={"image": "debian-12", "flavor": "small"},
        named=("flavor",),
        sealed_hidden_parameters="box",
    )
    assert stack.state.resource.spec == SPEC
    stack.answer(StackChangeStarted(operation_id="op-1"))
    assert inspection_of(stack.state) == "soon"
    stack.see("UPDATE_IN_PROGRESS")
    stack.see("UPDATE_COMPLETE", unproven=("web: BUILD",))
    assert stack.operation() is OperationState.RUNNING
    stack.see("UPDATE_COMPLETE", outputs={"url": "new"})
    assert stack.operation() is OperationState.DONE
    assert stack.state.resource.spec == {
        "template_name": "two-vms",
        "parameters": {"image": "debian-12", "flavor": "small"},
    }
    assert stack.status.outputs["outputs"] == {"url": "new"}
    assert stack.state.changes == {}


def test_a_change_that_fails_says_why_and_leaves_the_spec() -> None:
    """The stack stays, and its reason says in what state."""
    stack = living()
    asked_to_change(stack, {"template": "other"})
    command = stack.command().message
    assert isinstance(command, ChangeStack)
    assert (command.template, command.template_name) == ("other", None)
    assert not command.stored_template
    stack.answer(StackChangeStarted(operation_id="op-1"))
    stack.see("UPDATE_FAILED", status_reason="resources.web: no host")
    operation = stack.status.operations[-1]
    assert (operation.state, stack.phase()) == (OperationState.FAILED, Phase.ACTIVE)
    assert operation.error is not None
    assert operation.error.detail == "resources.web: no host"
    assert stack.reason() is Reason.STACK_FAILED
    assert stack.state.resource.spec == SPEC
    assert stack.state.changes == {}


def test_a_change_has_as_long_as_heat_itself_gives_it() -> None:
    """Heat works on for up to an hour; given up before, ``spec`` would tell less than is there."""
    stack = living()
    asked_to_change(stack, {"parameters": {"flavor": "large"}})
    stack.answer(StackChangeStarted(operation_id="op-1"))
    due = stack.timers["overdue/operation-op-1"]
    assert due - stack.now > timedelta(hours=1)
    stack.now += timedelta(minutes=59)
    stack.see("UPDATE_COMPLETE", outputs={})
    assert stack.operation() is OperationState.DONE
    assert stack.state.resource.spec["parameters"]["flavor"] == "large"


def test_an_inspection_names_what_the_ledger_knows() -> None:
    """One command for all of a cloud."""
    stack = living()
    (inspection,) = stack.definition.inspections
    assert inspection.command("devcloud", [stack.state]) == InspectStacks(
        cloud="devcloud",
        stacks=(StackInspection(resource_id=STACK, tenant="bigtop", stack_id="heat-1"),),
    )


@pytest.mark.parametrize(
    "more",
    [
        {f"more-{number}": 1 for number in range(200)},
        {"large": "x" * 256 * 1024},
    ],
)
def test_changes_do_not_make_the_spec_larger_than_it_may_be(more: dict[str, Any]) -> None:
    """One by one they are within bounds; what is too much is not ordered."""
    stack = living()
    asked_to_change(stack, {"parameters": more})
    assert stack.commands() == set()
    (operation,) = stack.status.operations
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert "at most 200 of 262144 bytes" in (operation.error.detail or "")
    assert (stack.state.resource.spec, stack.state.changes) == (SPEC, {})
