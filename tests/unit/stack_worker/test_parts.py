"""What a stack is made of, as it is told: names, times, and how many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.stack_worker.backend import Part, PartEvent
from services.stack_worker.parts import MOST_PARTS, paths_of, standing, told

START = datetime(2026, 1, 1, tzinfo=UTC)


def part(name: str, status: str = "CREATE_COMPLETE", id: str = "", within: str = "top") -> Part:
    return Part(name, "OS::Nova::Server", status, "the reason", id, within)


def event(name: str, status: str, second: int, within: str = "top") -> PartEvent:
    return PartEvent(within, name, status, START + timedelta(seconds=second))


def times(parts: list[Part], *events: PartEvent) -> list[tuple[float | None, float | None]]:
    """When each began and ended, in seconds since `START`."""
    shown, _ = told(parts, events)
    return [(_seconds(one.started_at), _seconds(one.finished_at)) for one in shown]


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - START).total_seconds()


def test_members_of_groups_are_told_apart_by_what_they_are_in() -> None:
    """Each group of servers has its "0", at any depth."""
    parts = [
        part("web", id="group-1"),
        part("0", id="inner", within="group-1"),
        part("0", id="server", within="inner"),
        part("database", id="group-2"),
        part("0", within="group-2"),
    ]
    assert paths_of(parts) == ["web", "web/0", "web/0/0", "database", "database/0"]


def test_a_part_that_says_it_is_the_stack_it_is_in_leads_into_no_loop() -> None:
    """A template may name any id as ``external_id``."""
    assert paths_of([part("self", id="top"), part("other")]) == ["self", "self/other"]


def test_what_was_deleted_is_no_part_any_more() -> None:
    """Heat shows it for a moment after it has said that the change is complete."""
    there = [part("first"), part("third", "DELETE_FAILED")]
    assert standing([there[0], part("second", "DELETE_COMPLETE"), there[1]]) == there


def test_the_times_are_those_of_heats_own_events() -> None:
    """Of the last that it did with the part; what has not ended has no end."""
    events = [
        event("web", "CREATE_IN_PROGRESS", 0),
        event("web", "CREATE_COMPLETE", 5),
        event("net", "CREATE_IN_PROGRESS", 1),
    ]
    waiting = part("ip", "INIT_COMPLETE")
    parts = [part("web"), part("net", "CREATE_IN_PROGRESS"), waiting]
    assert times(parts, *events) == [(0, 5), (1, None), (None, None)]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("CREATE_COMPLETE", (0, 5)),
        ("UPDATE_IN_PROGRESS", (20, None)),
        ("UPDATE_FAILED", (20, 25)),
    ],
)
def test_events_of_what_was_done_with_it_before_or_since_do_not_count(
    status: str, expected: tuple[float | None, float | None]
) -> None:
    """They are asked for after the parts, and may know more."""
    events = [
        event("web", "CREATE_IN_PROGRESS", 0),
        event("web", "CREATE_COMPLETE", 5),
        event("web", "SIGNAL_COMPLETE", 7),
        event("web", "UPDATE_IN_PROGRESS", 10),
        event("web", "UPDATE_COMPLETE", 12),
        event("web", "UPDATE_IN_PROGRESS", 20),
        event("web", "UPDATE_FAILED", 25),
    ]
    assert times([part("web", status)], *events) == [expected]


def test_events_are_those_of_the_stack_that_the_part_is_in() -> None:
    """Members of two groups have one name."""
    parts = [part("0", within="group-1"), part("0", within="group-2")]
    ended = event("0", "CREATE_COMPLETE", 3, within="group-2")
    assert times(parts, ended) == [(None, None), (None, 3)]


def test_only_what_failed_brings_its_reason_and_that_within_bounds() -> None:
    """Others only repeat that a state has changed."""
    failed = Part("web", "T", "CREATE_FAILED", "x" * 10_000, "")
    (made, bad), _ = told([part("net"), failed])
    assert made.reason is None
    assert bad.reason == "x" * 500


def test_of_many_those_that_say_most_are_told_of_and_the_rest_is_counted() -> None:
    """In Heat's order all the same."""
    done = [part(f"done-{number}") for number in range(200)]
    parts = [*done, part("busy", "CREATE_IN_PROGRESS"), *done, part("bad", "CREATE_FAILED")]
    shown, more = told(parts)
    assert (len(shown), more) == (MOST_PARTS, len(parts) - MOST_PARTS)
    assert [one.name for one in shown[-2:]] == ["busy", "bad"]
    assert [one.name for one in shown[:2]] == ["done-0", "done-1"]
