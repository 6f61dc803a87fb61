"""What Heat shows of a stack's resources becomes parts of its step."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.scheduler.stack_parts import MOST_PARTS
from shared.contract.messages import (
    InspectStacks,
    StackChangeStarted,
    StackDeletionStarted,
    StackPart,
)
from shared.contract.resources import Phase, Step, StepState
from tests.unit.scheduler.test_stack_workflow import Stack, asked_to_change, living

SERVER = "OS::Nova::Server"


def part(name: str, status: str, **fields: Any) -> StackPart:
    return StackPart(name=name, type=SERVER, status=status, **fields)


def step_of(stack: Stack) -> Step:
    (step,) = stack.status.steps
    return step


def asks_for_times(stack: Stack) -> bool:
    (inspection,) = stack.definition.inspections
    message = inspection.command("devcloud", [stack.state])
    assert isinstance(message, InspectStacks)
    return message.stacks[0].with_times


def test_each_resource_is_a_part_of_the_step_with_heats_own_words_and_times() -> None:
    """While it is made, and when that is done."""
    stack = Stack()
    began = stack.now
    stack.see(
        "CREATE_IN_PROGRESS",
        parts=(
            part("web", "CREATE_IN_PROGRESS", started_at=began),
            part("ip", "INIT_COMPLETE"),
        ),
    )
    revision = stack.state.resource.revision
    web, ip = step_of(stack).parts
    assert (web.name, web.type, web.state, web.status) == (
        *("web", SERVER),
        *(StepState.RUNNING, "CREATE_IN_PROGRESS"),
    )
    assert (web.started_at, web.finished_at) == (began, None)
    assert (ip.state, ip.started_at) == (StepState.PENDING, None)
    ended = began + timedelta(seconds=5)
    made = (
        part("web", "CREATE_COMPLETE", started_at=began, finished_at=ended),
        part("ip", "CREATE_COMPLETE", started_at=ended, finished_at=ended),
    )
    stack.see("CREATE_COMPLETE", parts=made, more_parts=3, outputs={})
    assert stack.phase() is Phase.ACTIVE
    assert [one.state for one in step_of(stack).parts] == [StepState.DONE] * 2
    assert step_of(stack).parts[0].finished_at == ended
    assert step_of(stack).more_parts == 3
    assert stack.state.resource.revision > revision


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("INIT_COMPLETE", StepState.PENDING),
        ("UPDATE_IN_PROGRESS", StepState.RUNNING),
        ("CHECK_COMPLETE", StepState.DONE),
        ("UPDATE_FAILED", StepState.FAILED),
        ("DELETE_IN_PROGRESS", StepState.UNDOING),
        ("DELETE_COMPLETE", StepState.UNDONE),
        ("DELETE_FAILED", StepState.FAILED),
        ("SOMETHING_ELSE", StepState.PENDING),
    ],
)
def test_heats_states_are_told_in_the_words_that_all_steps_have(
    status: str, state: StepState
) -> None:
    """Heat's own beside them."""
    stack = Stack()
    stack.see("CREATE_IN_PROGRESS", parts=(part("web", status),))
    (shown,) = step_of(stack).parts
    assert (shown.state, shown.status) == (state, status)


def test_of_a_stack_that_failed_it_stays_known_what_failed_and_why() -> None:
    """Though all is deleted again, and Heat shows that, too."""
    stack = Stack()
    bad = part("web", "CREATE_FAILED", reason="No valid host was found.")
    stack.see("CREATE_FAILED", status_reason="failed", parts=(part("net", "CREATE_COMPLETE"), bad))
    stack.answer(StackDeletionStarted(stack_id="heat-1"))
    stack.see("DELETE_IN_PROGRESS", parts=(part("net", "DELETE_IN_PROGRESS"),))
    stack.see(gone=True)
    assert stack.phase() is Phase.FAILED
    net, web = step_of(stack).parts
    assert net.state is StepState.DONE
    assert (web.state, web.reason) == (StepState.FAILED, "No valid host was found.")


def test_times_are_asked_for_while_heat_is_at_work_by_our_order() -> None:
    """In the making and in a change; of one that lives, and of one that goes, not."""
    stack = Stack()
    assert asks_for_times(stack)
    stack = living()
    assert not asks_for_times(stack)
    asked_to_change(stack, {"parameters": {"flavor": "small"}})
    assert asks_for_times(stack)
    stack.answer(StackChangeStarted(operation_id="op-1"))
    stack.see("UPDATE_COMPLETE", outputs={})
    assert not asks_for_times(stack)
    stack.delete()
    assert not asks_for_times(stack)


def test_times_stay_while_they_are_not_asked_for() -> None:
    """Nothing has changed, so nothing is told anew; of what Heat did since they are asked for."""
    stack = Stack()
    began, ended = stack.now, stack.now + timedelta(seconds=1)
    timed = part("web", "CREATE_COMPLETE", started_at=began, finished_at=ended)
    stack.see("CREATE_COMPLETE", parts=(timed,), outputs={})
    revision, shown = stack.state.resource.revision, step_of(stack).parts
    assert not asks_for_times(stack)
    stack.see("CREATE_COMPLETE", parts=(part("web", "CREATE_COMPLETE"),), outputs={})
    assert (stack.state.resource.revision, step_of(stack).parts) == (revision, shown)
    stack.see("UPDATE_COMPLETE", parts=(part("web", "UPDATE_COMPLETE"),), outputs={})
    (web,) = step_of(stack).parts
    assert (web.status, web.started_at, web.finished_at) == ("UPDATE_COMPLETE", None, None)
    assert asks_for_times(stack)
    later = part("web", "UPDATE_COMPLETE", started_at=ended, finished_at=ended)
    stack.see("UPDATE_COMPLETE", parts=(later,), outputs={})
    assert step_of(stack).parts[0].finished_at == ended
    assert not asks_for_times(stack)


def test_when_it_began_stays_though_that_event_is_told_no_more() -> None:
    """Heat tells of its latest thousand."""
    stack = Stack()
    began, ended = stack.now, stack.now + timedelta(seconds=1)
    stack.see("CREATE_IN_PROGRESS", parts=(part("a", "CREATE_IN_PROGRESS", started_at=began),))
    stack.see("CREATE_IN_PROGRESS", parts=(part("a", "CREATE_COMPLETE", finished_at=ended),))
    (shown,) = step_of(stack).parts
    assert (shown.started_at, shown.finished_at) == (began, ended)


def test_a_change_shows_what_it_adds_and_drops_what_it_removes() -> None:
    """The step shows what the stack is made of now."""
    stack = living()
    stack.see("CREATE_COMPLETE", parts=(part("web", "CREATE_COMPLETE"),), outputs={})
    asked_to_change(stack, {"template": "other"})
    stack.answer(StackChangeStarted(operation_id="op-1"))
    both = (part("web", "CREATE_COMPLETE"), part("second", "CREATE_IN_PROGRESS"))
    stack.see("UPDATE_IN_PROGRESS", parts=both)
    assert [one.state for one in step_of(stack).parts] == [StepState.DONE, StepState.RUNNING]
    stack.see("UPDATE_COMPLETE", parts=(part("second", "CREATE_COMPLETE"),), outputs={})
    assert [one.name for one in step_of(stack).parts] == ["second"]
    assert step_of(stack).state is StepState.DONE


def test_those_of_a_worker_of_before_are_within_bounds_too() -> None:
    """It told of three hundred; what is left off is counted."""
    stack = Stack()
    many = tuple(part(str(number), "CREATE_COMPLETE") for number in range(300))
    stack.see("CREATE_IN_PROGRESS", parts=many)
    assert len(step_of(stack).parts) == MOST_PARTS
    assert step_of(stack).more_parts == 300 - MOST_PARTS
