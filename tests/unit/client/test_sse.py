"""The parser of server-sent events follows the HTML standard, however the bytes are cut."""

from __future__ import annotations

import pytest

from colobus.sse import EventParser, ServerEvent

STREAM = (
    ": welcome\n\n"
    "retry: 1500\n"
    "event: status\nid: 7\ndata: {\"a\":\ndata: 1}\n\n"
    "event: progress\ndata:x\r\n\r\n"
    "id: 9\n\n"
    "data: später\n\n"
).encode()  # fmt: skip
EVENTS = [
    ServerEvent("status", '{"a":\n1}', "7"),
    ServerEvent("progress", "x", "7"),
    ServerEvent("message", "später", "9"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_however_the_stream_is_cut(size: int) -> None:
    """Chunks end anywhere: in a line, in a character, between CR and LF."""
    parser = EventParser()
    chunks = [STREAM[i : i + size] for i in range(0, len(STREAM), size)]
    assert [event for chunk in chunks for event in parser.feed(chunk)] == EVENTS
    assert parser.last_id == "9"
    assert parser.retry == 1.5


def test_an_event_without_its_empty_line_is_not_given() -> None:
    """A stream that breaks in mid-event doesn't give half of it."""
    parser = EventParser(last_id="3")
    assert list(parser.feed(b"event: status\nid: 4\ndata: half\n")) == []
    assert parser.last_id == "3", "who resumes after 4 would never see it"


@pytest.mark.parametrize("line", [b"id: a\0b", b"retry: soon", b"retry: -1", b"color: red"])
def test_absurd_lines_are_ignored(line: bytes) -> None:
    """What the standard doesn't know changes nothing."""
    parser = EventParser(last_id="3")
    assert list(parser.feed(line + b"\n\n")) == []
    assert (parser.last_id, parser.retry) == ("3", None)
