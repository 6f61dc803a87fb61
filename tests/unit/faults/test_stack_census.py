"""The census of stacks and clusters finds what it is there to find, also on the clusters' host."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from colobus.models import Phase
from tests.faults.census import judge
from tests.faults.facts import Evidence, Held, Instance, Row, Told
from tests.faults.plan import Ending, Plan
from tests.faults.words import Word, statements

STACK = Plan("a stack", "bigtop", Ending.KEEP, floating_ip=False, twice=False, kind="stack")
CLUSTER = dataclasses.replace(STACK, key="a cluster", kind="cluster")
ROWS = (
    Row("stack-1", "bigtop", Phase.ACTIVE, 1),
    Row("cluster-1", "bigtop", Phase.ACTIVE, 1),
)
TIMELINE = tuple(Told(row.id, 1, Phase.ACTIVE) for row in ROWS)
HELD = (
    Held("stack", "heat-1", "stack-1", None, "CREATE_COMPLETE"),
    Held("stack_network", "net-1", "stack-1"),
    Held("stack_port", "port-1", "stack-1", "net-1"),
    Held("cluster", "uuid-1", "cluster-1", None, "CREATE_COMPLETE"),
    Held("credential", "cluster-uuid-1", "cluster-1", "uuid-1"),
    Held("folder", "folder-1", "cluster-1", "uuid-1", "running"),
    Held("control_plane", "in folder-1", "cluster-1", "uuid-1"),
)
GOOD = Evidence(
    plans=(STACK, CLUSTER),
    answers={"a stack": ("stack-1",), "a cluster": ("cluster-1",)},
    ledger=ROWS,
    read_model=ROWS,
    timeline=TIMELINE,
    streamed=TIMELINE,
    webhooks=TIMELINE,
    held=HELD,
)


def found(**changes: Any) -> str:
    """Judge the good evidence with these changes."""
    return "\n".join(judge(dataclasses.replace(GOOD, **changes)))


def test_where_all_agree_nothing_is_wrong() -> None:
    """One of each."""
    assert judge(GOOD) == []


@pytest.mark.parametrize("missing", HELD, ids=lambda one: one.what)
def test_all_of_what_is_active_must_be_there(missing: Held) -> None:
    """What Heat has made, too, and who runs in a cluster's folder."""
    held = tuple(one for one in HELD if one != missing)
    assert f"lost: {missing.resource_id} has 0 {missing.what}s" in found(held=held)


@pytest.mark.parametrize(
    "left",
    [
        *HELD,
        Held("half_folder", ".uuid-1.gone", "cluster-1", "uuid-1"),
        Held("stack_server", "server-1", "stack-1"),
    ],
    ids=lambda one: one.what,
)
def test_nothing_of_what_ended_may_be_there(left: Held) -> None:
    """In Heat, in Magnum, in Nova and Neutron, or on the host."""
    gone = tuple(dataclasses.replace(row, phase=Phase.DELETED) for row in ROWS)
    wrong = found(ledger=gone, read_model=gone, held=(left,), unmade=True)
    assert f"leaked: {left.resource_id} has 1 {left.what}s" in wrong


def test_a_second_cluster_of_one_resource_is_found() -> None:
    """Magnum has no unique names."""
    second = Held("cluster", "uuid-2", "cluster-1", None, "CREATE_COMPLETE")
    assert "doubled: cluster-1 has 2 clusters" in found(held=(*HELD, second))


@pytest.mark.parametrize("broken", [HELD[0], HELD[3], HELD[5]], ids=lambda one: one.what)
def test_what_is_active_is_well_everywhere(broken: Held) -> None:
    """Also by Heat's, Magnum's and the host's own word."""
    held = tuple(
        dataclasses.replace(one, status="FAILED") if one == broken else one for one in HELD
    )
    assert f"its {broken.what} is FAILED" in found(held=held)


SAID_SO = Instance("stack-1", launched=False, fault="Resource CREATE failed")
NEVER = Instance("stack-1", launched=False)
COMPLETE = Instance("stack-1", launched=True)


def _fails(reason: str, *instances: Instance, losers: frozenset[str]) -> bool:
    failed = dataclasses.replace(ROWS[0], phase=Phase.FAILED, reason=reason)
    wrong = found(ledger=(failed, ROWS[1]), instances=instances, losers=losers)
    return f"stack-1 (a stack, keeps it) is failed for {reason}" in wrong


@pytest.mark.parametrize(
    ("reason", "instance", "right"),
    [
        ("stack_failed", SAID_SO, True),
        ("stack_failed", NEVER, False),
        ("deadline_exceeded", NEVER, True),
        ("backend_timeout", NEVER, True),
        ("backend_timeout", COMPLETE, False),
        ("deadline_exceeded", COMPLETE, False),
        ("removed_externally", SAID_SO, False),
    ],
)
def test_a_stack_fails_by_heats_word_or_since_heat_never_ended_it(
    reason: str, instance: Instance, right: bool
) -> None:
    """And only where its engine was killed; Magnum has no say in it."""
    assert _fails(reason, instance, losers=frozenset({"heat", "magnum"})) is not right
    assert _fails(reason, instance, losers=frozenset({"magnum"}))


def test_what_never_came_to_heat_was_lost_by_us() -> None:
    """Its time is over, and Heat had nothing of it."""
    assert _fails("deadline_exceeded", losers=frozenset({"heat"}))


def test_a_making_that_was_cancelled_by_our_own_order_is_no_failure_of_heats() -> None:
    """Heat calls it so when it is told to delete what it is making."""
    cancelled = Word("heat-1", "stack-1", "CREATE_FAILED", "Stack CREATE cancelled")
    assert not cancelled.fails
    assert dataclasses.replace(cancelled, reason="No valid host").fails
    assert Word("heat-1", "stack-1", "CREATE_COMPLETE", "").completes


def test_each_status_that_heat_or_magnum_writes_is_kept() -> None:
    """The first one and every other one; what is written anew without a change is not."""
    made = " ".join(" ".join(one.split()) for one in statements())
    for table in ("heat.stack", "magnum.cluster"):
        assert f"AFTER insert ON {table} FOR EACH ROW" in made
        assert f"AFTER update ON {table} FOR EACH ROW" in made
    assert "WHERE NOT (NEW.status <=> OLD.status)" in made


def test_whatever_heat_says_can_be_kept() -> None:
    """The server's own characters are Latin ones: Heat's update would fail with the trigger."""
    made = " ".join(" ".join(one.split()) for one in statements())
    assert "reason LONGTEXT) CHARACTER SET utf8mb4" in made
