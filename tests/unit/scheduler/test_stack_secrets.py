"""What Heat may quote of a stack's hidden parameters is told, sealed, to whoever looks at it."""

from __future__ import annotations

import msgspec

from services.scheduler.changing_spec import FORGOTTEN, MOST_BEFORE, MOST_BYTES
from services.scheduler.stack_workflow import MOST_OF_ONE, MOST_TOGETHER
from services.scheduler.state import ResourceState
from shared.contract.kinds import SEALED
from shared.contract.messages import (
    ChangeStack,
    InspectStacks,
    StackChangeStarted,
    StackDeletionStarted,
)
from shared.contract.resources import OperationState, Phase
from tests.unit.scheduler.test_stack_workflow import STACK, Stack, asked_to_change, living


def sealed_told(stack: Stack) -> tuple[str, ...]:
    (inspection,) = stack.definition.inspections
    command = inspection.command("devcloud", [stack.state])
    assert isinstance(command, InspectStacks)
    return command.stacks[0].sealed_hidden_parameters


def test_whoever_looks_is_told_all_that_heat_may_quote() -> None:
    """The secrets of its making, of the change under way, and of the last ones that have ended."""
    stack = living()
    stack.state = msgspec.structs.replace(stack.state, sealed={"hidden_parameters": "box-0"})
    assert sealed_told(stack) == ("box-0",)
    for number in range(1, 5):
        before = sealed_told(stack)
        asked_to_change(stack, {SEALED + "hidden_parameters": f"box-{number}"}, f"op-{number}")
        command = stack.command().message
        assert isinstance(command, ChangeStack)
        assert (command.sealed_before, sealed_told(stack)) == (before, (*before, f"box-{number}"))
        stack.answer(StackChangeStarted(operation_id=f"op-{number}"))
        stack.see("UPDATE_FAILED" if number % 2 else "UPDATE_COMPLETE", outputs={})
    assert sealed_told(stack) == ("box-0", "box-1", "box-2", "box-3", "box-4")


def test_what_heat_was_never_given_is_not_told_and_kept() -> None:
    """A change that the scheduler itself refuses, or that still waits."""
    stack = living()
    large = {"parameters": {"large": "x" * MOST_BYTES}, SEALED + "hidden_parameters": "refused"}
    asked_to_change(stack, large)
    assert stack.operation() is OperationState.FAILED
    asked_to_change(stack, {SEALED + "hidden_parameters": "first"}, "op-2")
    asked_to_change(stack, {SEALED + "hidden_parameters": "second"}, "op-3")
    assert sealed_told(stack) == ("first",)
    stack.delete()
    stack.answer(StackDeletionStarted(stack_id="heat-1"), "DeprovisionStack")
    stack.see(gone=True)
    assert (stack.phase(), stack.state.sealed_before) == (Phase.DELETED, ())


def test_where_secrets_are_too_large_to_be_told_no_words_will_be() -> None:
    """Of one stack, and of all together: of the largest, then."""
    stack = living()
    for number in range(3):
        box = str(number) * (MOST_BEFORE // 2)
        asked_to_change(stack, {SEALED + "hidden_parameters": box}, f"op-{number}")
        stack.answer(StackChangeStarted(operation_id=f"op-{number}"))
        stack.see("UPDATE_COMPLETE", outputs={})
    told = sealed_told(stack)
    assert [one[:1] for one in told] == [FORGOTTEN, "1", "2"]
    small = msgspec.structs.replace(living().state, sealed={"hidden_parameters": "box"})
    large = msgspec.structs.replace(stack.state, sealed={"hidden_parameters": "x" * MOST_OF_ONE})
    (inspection,) = stack.definition.inspections
    many = [_named(large, number) for number in range(40)] + [_named(small, 40)]
    command = inspection.command("devcloud", many)
    assert isinstance(command, InspectStacks)
    boxes = [one.sealed_hidden_parameters for one in command.stacks]
    assert boxes[-1] == ("box",)
    assert (FORGOTTEN,) in boxes
    assert sum(len(box) for each in boxes for box in each) <= MOST_TOGETHER


def _named(state: ResourceState, number: int) -> ResourceState:
    resource = msgspec.structs.replace(state.resource, id=f"{STACK[:-2]}{number:02}")
    return msgspec.structs.replace(state, resource=resource)
