"""A queue is empty only where the broker says so."""

from __future__ import annotations

from typing import Any

from shared.contract.topology import TOPOLOGY
from tests.faults.queues import counted

ALL = [q.name for q in TOPOLOGY.work_queues] + [q.name for q in TOPOLOGY.delay_queues]


def listed(**changed: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the broker's answer: all queues empty, but for these."""
    return [{"name": name, "messages": 0} | changed.get(name, {}) for name in ALL]


def test_empty_queues_leave_nothing() -> None:
    """Each of them is looked at."""
    assert counted(listed(), all_quiet=True) == {f"messages in {name}": 0 for name in ALL}


def test_what_waits_or_is_worked_on_is_counted() -> None:
    """Both are in the broker's figure."""
    found = counted(listed(dead_letters={"messages": 3}), all_quiet=False)
    assert found["messages in dead_letters"] == 3


def test_a_queue_without_figures_is_not_known_to_be_empty() -> None:
    """A broker that was just restarted lists its queues before it has counted."""
    found = counted([{"name": name} for name in ALL], all_quiet=True)
    assert set(found.values()) == {1}


def test_a_queue_that_is_gone_is_found() -> None:
    """Nothing that is to be durable may be missing."""
    found = counted(listed()[1:], all_quiet=True)
    assert sum(found.values()) == 1


def test_while_vms_live_only_dead_letters_count() -> None:
    """Inspections go back and forth then."""
    assert set(counted(listed(), all_quiet=False)) == {
        "messages in dead_letters",
        "messages in scheduler.dead_commands",
    }
