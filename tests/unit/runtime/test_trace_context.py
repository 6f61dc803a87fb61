"""W3C Trace Context, by the letter of its §3.2 and §4.3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime import trace_context

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_what_is_read_is_written_again() -> None:
    """The specification's own example."""
    text = f"00-{TRACE}-{SPAN}-01"
    place = trace_context.parse(text)
    assert place == (TRACE, SPAN, 1)
    assert place.sampled
    assert place.traceparent == text


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "x",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"01-{TRACE}-{SPAN}-01.more",
    ],
)
def test_what_is_malformed_is_ignored(text: str | None) -> None:
    """As if there were none: the trace begins here."""
    assert trace_context.parse(text) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """More fields may follow; what goes on is version 00 with the flags that we know."""
    place = trace_context.parse(f"cc-{TRACE}-{SPAN}-ff-what.the.future-will.be")
    assert place is not None
    assert place.traceparent == f"00-{TRACE}-{SPAN}-03"


@given(st.text(max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    """Whatever comes is a place, or none."""
    place = trace_context.parse(text)
    assert place is None or trace_context.parse(place.traceparent) == place


def test_a_trace_that_begins_here_is_well_formed_and_new() -> None:
    """And says that nobody has recorded it."""
    one, other = trace_context.begin(), trace_context.begin()
    assert trace_context.parse(one.traceparent) == one
    assert one.trace_id != other.trace_id
    assert not one.sampled
