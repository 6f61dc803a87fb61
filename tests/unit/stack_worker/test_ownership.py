"""Which stack is a resource's, and what becomes of a second one of its name."""

from __future__ import annotations

from typing import cast

import pytest

from services.stack_worker.backend import Project, Stack
from services.stack_worker.heat_calls import about_the_template
from services.stack_worker.ownership import is_ours, standing
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.errors import Conflict, Refused, RefusedForNow
from shared.worker.marks import Marks

MARKS = Marks("i1", "stack_worker")
TAGS = MARKS.tags("s1")


def stack(
    id: str, *tags: str, status: str = "CREATE_COMPLETE", at: str = "", name: str = "s1"
) -> Stack:
    return Stack(id, name, status, "", tags, at)


@pytest.mark.parametrize(
    ("one", "stack_id", "ours"),
    [
        (stack("a", *TAGS), None, True),
        (stack("a", *TAGS, "mine"), "b", True),
        (stack("a"), "a", True),
        (stack("a", "mine"), "a", True),
        (stack("a"), None, False),
        (stack("a"), "b", False),
        (stack("a", *MARKS.tags("s2")), "a", False),
        (stack("a", *TAGS, *MARKS.tags("s2")), "a", False),
        (stack("a", *Marks("i2", "stack_worker").tags("s1")), "a", False),
        (stack("a", *TAGS, name="other"), "a", False),
    ],
)
def test_ours_is_what_bears_our_marks_or_is_known_and_nobody_elses(
    one: Stack, stack_id: str | None, ours: bool
) -> None:
    """A tenant's update takes tags off; no update makes another's stack ours."""
    assert is_ours(MARKS, one, "s1", stack_id) is ours


class Named:
    """A project of which a list by name shows these."""

    def __init__(self, *stacks: Stack) -> None:
        self._stacks = list(stacks)
        self.deleted: list[str] = []

    async def named(self, name: str) -> list[Stack]:
        return [one for one in self._stacks if one.name == name]

    async def delete_stack(self, stack: Stack) -> bool:
        self.deleted.append(stack.id)
        return True

    async def standing(self) -> Stack | None:
        return await standing(cast(Project, self), MARKS, "s1")


async def test_of_twins_the_first_stays_whoever_looks() -> None:
    """Two creates at once may both pass Heat's own look at names."""
    first, second = stack("b", *TAGS, at="00:01"), stack("a", *TAGS, at="00:02")
    same = stack("c", *TAGS, at="00:01")
    for twins in ((first, second, same), (same, second, first)):
        project = Named(*twins)
        assert await project.standing() == first
        assert sorted(project.deleted) == ["a", "c"]


async def test_what_is_going_is_no_twin() -> None:
    """And stands in nobody's way but its successor's."""
    going = stack("a", *TAGS, status="DELETE_IN_PROGRESS")
    project = Named(going, stack("b", *TAGS))
    found = await project.standing()
    assert (found and found.id, project.deleted) == ("b", [])
    with pytest.raises(TemporaryError, match="still being removed"):
        await Named(going).standing()
    assert await Named().standing() is None


async def test_a_stack_of_our_name_that_is_not_ours_is_no_twin_either() -> None:
    """Nothing is removed then."""
    project = Named(stack("a", *TAGS), stack("b"))
    with pytest.raises(Conflict, match="does not bear our marks"):
        await project.standing()
    assert project.deleted == []


def test_heats_own_quota_is_waited_for_and_no_fault_of_the_template() -> None:
    """It answers with a plain 400."""
    words = "You have reached the maximum stacks per tenant, 512. Please delete some stacks."
    error = about_the_template(Refused(words))
    assert isinstance(error, RefusedForNow)
    assert (error.reason, error.retryable) == (Reason.QUOTA_EXCEEDED, True)
    assert about_the_template(Refused("No such type.")).reason == Reason.TEMPLATE_INVALID
