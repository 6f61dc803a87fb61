"""Where the work at hand is in which trace, without any exporter."""

from __future__ import annotations

import asyncio

import pytest

from shared.runtime import trace_context, tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_without_an_exporter_what_came_goes_on_unchanged() -> None:
    """Spans that nobody records must not become the parents of those that somebody does."""
    assert tracing.traceparent() is None
    with tracing.span("outer", parent=PARENT):
        assert tracing.traceparent() == PARENT
        with tracing.span("inner"):
            assert tracing.traceparent() == PARENT
    assert tracing.traceparent() is None


@pytest.mark.parametrize("parent", [None, "malformed"])
def test_work_without_a_trace_begins_one(parent: str | None) -> None:
    """One for all that happens within, and none of what is around it."""
    with tracing.span("around", parent=PARENT), tracing.span("x", parent=parent):
        place = tracing.current()
        assert place is not None
        assert place.trace_id not in PARENT
        with tracing.span("inner"):
            assert tracing.current() == place


def test_work_turns_to_the_trace_of_its_resource_and_back() -> None:
    """Unless it is in it already, or there is none."""
    with tracing.span("x", parent=PARENT):
        with tracing.part_of(OTHER, "decide"):
            assert tracing.traceparent() == OTHER
        for same in (PARENT, None):
            with tracing.part_of(same, "decide"):
                assert tracing.traceparent() == PARENT
    with tracing.part_of(OTHER, "decide"):
        assert tracing.traceparent() == OTHER


async def test_tasks_side_by_side_have_each_their_own() -> None:
    """The position is the task's."""

    async def work(parent: str) -> str | None:
        with tracing.span("x", parent=parent):
            await asyncio.sleep(0)
            return tracing.traceparent()

    one, other = await asyncio.gather(work(PARENT), work(OTHER))
    assert (one, other) == (PARENT, OTHER)


def test_an_exception_passes_and_ends_it() -> None:
    """A span changes nothing about what is raised."""
    with pytest.raises(LookupError), tracing.span("x", parent=PARENT):
        raise LookupError
    assert tracing.current() is None


def test_a_resumed_trace_is_that_of_the_message() -> None:
    """None of it when the message has none."""
    with tracing.resumed(PARENT):
        assert tracing.current() == trace_context.parse(PARENT)
        with tracing.resumed(None):
            assert tracing.current() is None


def test_what_turned_to_another_trace_is_known_to_have_come_from_elsewhere() -> None:
    """So that a span of it is linked to its cause; nothing of that is left afterwards."""
    with tracing.span("look", parent=PARENT):
        with tracing.resumed(OTHER):
            assert isinstance(tracing.part_of(OTHER, "decide"), tracing.Span)
        assert not isinstance(tracing.part_of(PARENT, "decide"), tracing.Span)
        with tracing.resumed(PARENT):
            assert not isinstance(tracing.part_of(PARENT, "decide"), tracing.Span)
