from __future__ import annotations

import pytest

from shared.contract.identifiers import new_id
from shared.worker.marks import Marks

MARKS = Marks("i1", "vm_worker")


def test_the_tags_of_an_object_name_installation_worker_and_resource() -> None:
    """These words are a promise to operators and to other tools."""
    assert MARKS.tags("vm-1") == (
        "colobus-installation-i1",
        "colobus-worker-vm_worker",
        "colobus-resource-vm-1",
    )
    assert MARKS.tags() == ("colobus-installation-i1", "colobus-worker-vm_worker")


@pytest.mark.parametrize("kind", ["vm", "machine"])
def test_tags_of_the_longest_names_fit_into_nova(kind: str) -> None:
    """Nova takes 60 characters, no comma and no slash."""
    longest = Marks("i" * 32, "vm_worker").tags(new_id(kind))
    assert all(len(tag) <= 60 and not set(tag) & {",", "/"} for tag in longest)


@pytest.mark.parametrize(
    ("tags", "description", "resource_id", "ours"),
    [
        (MARKS.tags("vm-1"), "", "vm-1", True),
        ((*MARKS.tags("vm-1"), "mine"), "", "vm-1", True),
        ((), MARKS.description("vm-1"), "vm-1", True),
        (MARKS.tags(), "", None, True),
        ((), MARKS.description(), None, True),
        (Marks("i2", "vm_worker").tags("vm-1"), "", None, False),
        ((), Marks("i2", "vm_worker").description("vm-1"), None, False),
        ((), Marks("i1x", "vm_worker").description("vm-1"), None, False),
        (("colobus-resource-vm-1",), "", None, False),
        ((), "colobus", None, False),
        ((), "", None, False),
    ],
)
def test_only_marked_objects_are_ours(
    tags: tuple[str, ...], description: str, resource_id: str | None, ours: bool
) -> None:
    """Neither another installation's nor anybody else's objects pass for ours."""
    assert MARKS.resource_of(tags, description) == resource_id
    assert MARKS.ours(tags, description) is ours


def test_an_object_of_another_resource_is_not_this_ones() -> None:
    """`owns` with a resource asks for both tags."""
    assert MARKS.owns(MARKS.tags("vm-1"), "vm-1")
    assert MARKS.owns(MARKS.tags("vm-1"))
    assert not MARKS.owns(MARKS.tags("vm-1"), "vm-2")


OTHERS = Marks("i2", "vm_worker")
METADATA = {"colobus_installation": "i1", "colobus_resource": "vm-1", "colobus_worker": "vm_worker"}


@pytest.mark.parametrize(
    ("tags", "description", "metadata", "certain"),
    [
        (MARKS.tags("vm-1"), "", {}, True),
        ((), MARKS.description("vm-1"), {}, True),
        ((), "", METADATA, True),
        ((*MARKS.tags("vm-1"), "mine"), "my own words", {**METADATA, "team": "storage"}, True),
        ((), "", {}, False),
        (MARKS.tags(), "", {}, False),
        (MARKS.tags("vm-2"), "", {}, False),
        (("colobus-resource-vm-1",), "", {}, False),
        # Others' marks, and those that only look like ours.
        (OTHERS.tags("vm-1"), "", {}, False),
        ((), OTHERS.description("vm-1"), {}, False),
        (Marks("i1x", "vm_worker").tags("vm-1"), "", {}, False),
        ((), Marks("i1x", "vm_worker").description("vm-1"), {}, False),
        ((), MARKS.description("vm-1") + "x", {}, False),
        # Marks that disagree.
        ((*MARKS.tags("vm-1"), *MARKS.tags("vm-2")), "", {}, False),
        ((*MARKS.tags("vm-1"), *OTHERS.tags("vm-1")), "", {}, False),
        (MARKS.tags("vm-1"), MARKS.description("vm-2"), {}, False),
        (MARKS.tags("vm-1"), OTHERS.description("vm-1"), {}, False),
        (MARKS.tags("vm-1"), "", {**METADATA, "colobus_resource": "vm-2"}, False),
        (MARKS.tags("vm-1"), "", {**METADATA, "colobus_installation": "i2"}, False),
    ],
)
def test_only_what_is_marked_beyond_doubt_may_be_removed(
    tags: tuple[str, ...], description: str, metadata: dict[str, str], certain: bool
) -> None:
    """Every mark on it names this installation and this resource, and at least one does."""
    assert MARKS.are_only("vm-1", tags, description, metadata) is certain
