"""Whose a node is, and what is said where none is free."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.baremetal_worker.marks import Marks, Owner
from services.baremetal_worker.node_objects import (
    Allocation,
    Connector,
    NewAllocation,
    Node,
    Target,
)
from services.baremetal_worker.provisioner.belonging import Disk, is_left_of, is_reserved_by
from services.baremetal_worker.provisioner.reservations import why_none, words_of
from services.baremetal_worker.provisioner.taking_down import is_quarantined, quarantine_words
from shared.contract.problems import Reason

MARKS = Marks("one", "baremetal_worker")
OWNER = Owner("bigtop", "machine-1", "build-box")
NODE = Node(id="n", name="metal-1", provision_state="cleaning")
NOTHING = Disk()


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
        ("allocation-1", "allocation-1", True),
        ("allocation-2", "allocation-1", False),  # another has it by now
        (None, "allocation-1", False),  # it was undeployed
        (None, None, False),
        ("allocation-1", None, False),
    ],
)
def test_a_node_is_its_allocations(
    instance_id: str | None, allocation_id: str | None, is_so: bool
) -> None:
    """Whatever else it knows."""
    node = replace(NODE, instance_id=instance_id, extra=MARKS.as_extra(OWNER))
    assert is_reserved_by(node, allocation_id) is is_so


@pytest.mark.parametrize("instance_id", [None, "allocation-2"])
@pytest.mark.parametrize("by", ["connector", "target", "mark"])
def test_what_is_left_tells_whose_it_was(by: str, instance_id: str | None) -> None:
    """As long as nobody has reserved it: then it may be left from before."""
    extra = MARKS.as_extra(OWNER)
    connector = Connector("c", "n", "iqn.x:initiator", extra)
    target = Target("t", "n", "machine-1", 0, extra=extra)
    disk = {"connector": Disk(connectors=(connector,)), "target": Disk(targets=(target,))}
    node = replace(NODE, instance_id=instance_id, extra=extra if by == "mark" else {})
    known = disk.get(by, NOTHING)
    assert is_left_of(node, "machine-1", MARKS, known) is (instance_id is None)
    assert not is_left_of(node, "machine-2", MARKS, known)
    assert not is_left_of(node, "machine-1", Marks("two", "baremetal_worker"), known)
    assert known.of("machine-1", MARKS) == known
    assert not known.of("machine-2", MARKS)


def test_a_node_of_which_nothing_is_left_is_nobodys() -> None:
    """Whatever state it is in."""
    assert not is_left_of(NODE, "machine-1", MARKS, NOTHING)


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


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Failed to process allocation a-1: no available nodes.", "no available nodes."),
        ("Ironic was restarted", "Ironic was restarted"),
        ("", ""),
    ],
)
def test_the_allocation_that_failed_is_not_named(words: str, told: str) -> None:
    """Whoever waits for such a node reads it; and else it would be news each time."""
    assert words_of(Allocation("a-1", "machine-1", "error", last_error=words)) == told


def test_a_quarantine_is_known_by_its_reason() -> None:
    """An operator's own maintenance is none."""
    words = "Colobus: could not be given back clean after machine-1: no answer"
    node = replace(BROKEN, maintenance_reason=words)
    assert quarantine_words(node, "machine-1") == "no answer"
    assert quarantine_words(node, "machine-2") is None
    assert is_quarantined(node)
    assert not is_quarantined(BROKEN)
    assert not is_quarantined(replace(node, maintenance=False))
