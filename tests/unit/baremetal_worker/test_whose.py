"""Whose a node is, and what is said where none is free."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.baremetal_worker.marks import Marks, Owner
from services.baremetal_worker.node_objects import Allocation, NewAllocation, Node
from services.baremetal_worker.provisioner.belonging import belongs
from services.baremetal_worker.provisioner.reservations import why_none
from services.baremetal_worker.provisioner.taking_down import is_quarantined, quarantine_words
from shared.contract.problems import Reason

MARKS = Marks("one", "baremetal_worker")
OWNER = Owner("bigtop", "machine-1", "allocation-1")
MARKED = Node(id="n", name="metal-1", provision_state="available", extra=MARKS.as_extra(OWNER))


def test_a_mark_is_read_back() -> None:
    """By its own installation only."""
    tried = OWNER.tried_again(5.0).tried_again(9.0)
    assert (tried.tries, tried.since) == (2, 5.0)
    assert MARKS.owner_of(MARKS.as_extra(tried)) == tried
    assert Marks("two", "baremetal_worker").owner_of(MARKS.as_extra(OWNER)) is None


@pytest.mark.parametrize("extra", [{}, {"colobus": "x"}, {"colobus": {"installation": "one"}}])
def test_what_is_no_mark_is_nobodys(extra: dict[str, Any]) -> None:
    """Whoever has written it."""
    assert MARKS.owner_of(extra) is None


@pytest.mark.parametrize(
    ("instance_id", "allocation_id", "is_so"),
    [
        (None, None, True),  # it was undeployed
        ("allocation-1", None, True),
        ("allocation-2", None, False),  # another has it by now
        ("allocation-2", "allocation-2", True),  # the machine itself, anew
        (None, "allocation-2", True),
    ],
)
def test_an_allocation_is_stronger_than_a_mark(
    instance_id: str | None, allocation_id: str | None, is_so: bool
) -> None:
    """The mark may be left from before."""
    node = replace(MARKED, instance_id=instance_id)
    known = None if allocation_id is None else Allocation(allocation_id, "machine-1", "active")
    assert belongs(node, "machine-1", MARKS, known) is is_so
    assert not belongs(replace(MARKED, extra={}), "machine-1", MARKS)
    assert not belongs(node, "machine-2", MARKS)


WANTED = NewAllocation("machine-1", "diskless", ("FAST",), {})
FREE = Node(id="n", name="metal-1", provision_state="active", traits=frozenset({"FAST", "X"}))
BROKEN = replace(FREE, name="metal-2", maintenance=True, maintenance_reason="a fan")


@pytest.mark.parametrize(
    ("nodes", "reason", "retryable"),
    [
        ([], Reason.NO_VALID_HOST, False),
        ([replace(FREE, traits=frozenset())], Reason.NO_VALID_HOST, False),
        ([replace(FREE, provision_state="enroll")], Reason.NO_VALID_HOST, False),
        ([FREE], Reason.NO_FREE_NODE, True),
        ([FREE, BROKEN], Reason.NO_FREE_NODE, True),
        ([BROKEN], Reason.NODE_MAINTENANCE, True),
    ],
)
def test_it_is_said_why_there_is_none(nodes: list[Node], reason: Reason, retryable: bool) -> None:
    """In Ironic's words, with those of maintenance."""
    error = why_none(WANTED, nodes, "no available nodes")
    assert (error.reason, error.retryable) == (reason, retryable)
    assert "no available nodes" in error.detail
    assert ("metal-2: a fan" in error.detail) is (reason == Reason.NODE_MAINTENANCE)


def test_a_quarantine_is_known_by_its_reason() -> None:
    """An operator's own maintenance is none."""
    words = "Colobus: could not be given back clean after machine-1: no answer"
    node = replace(BROKEN, maintenance_reason=words)
    assert quarantine_words(node, "machine-1") == "no answer"
    assert quarantine_words(node, "machine-2") is None
    assert is_quarantined(node)
    assert not is_quarantined(BROKEN)
    assert not is_quarantined(replace(node, maintenance=False))
