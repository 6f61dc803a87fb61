"""A message's frames: the bytes that pamqp would make."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from shared.bus.frames import body_frames, header_frame, method_frame

_PROPERTIES = ("content_type", "correlation_id", "reply_to", "expiration", "message_id")
_texts = st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
_values = st.text(max_size=20) | st.booleans() | st.integers(-(2**31), 2**31 - 1)
_headers = st.dictionaries(st.text(min_size=1, max_size=20), _values, max_size=4)
_NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@given(
    texts=st.fixed_dictionaries(
        dict.fromkeys(
            ("content_type", "correlation_id", "reply_to", "expiration", "message_id"), _texts
        )
    ),
    headers=_headers,
    mode=st.sampled_from([1, 2]),
    size=st.integers(0, 2**40),
    channel=st.integers(1, 2000),
)
def test_the_header_is_that_of_pamqp(
    texts: dict[str, str | None], headers: dict[str, str], mode: int, size: int, channel: int
) -> None:
    """Whatever properties a message has, the broker reads them as it would pamqp's."""
    ours = header_frame(
        channel,
        size,
        headers=headers,
        delivery_mode=mode,
        timestamp=_NOW,
        type="org.colobus.RequestSubmitted.v1",
        user_id="colobus",
        app_id="front_door",
        **texts,
    )
    properties = commands.Basic.Properties(
        headers=dict(headers) or None,
        delivery_mode=mode,
        timestamp=_NOW,
        message_type="org.colobus.RequestSubmitted.v1",
        user_id="colobus",
        app_id="front_door",
        **{name: text for name, text in texts.items() if text is not None},  # type: ignore[arg-type] # all are texts
    )
    assert ours == frame.marshal(ContentHeader(properties=properties, body_size=size), channel)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 35])
def test_a_body_goes_in_as_many_frames_as_it_needs(size: int) -> None:
    """No frame carries more than is allowed, and an empty body has none."""
    body = bytes(range(size))
    parts = [body[at : at + 10] for at in range(0, size, 10)]
    assert body_frames(3, body, 10) == b"".join(frame.marshal(ContentBody(p), 3) for p in parts)


def test_a_name_that_is_too_long_is_refused() -> None:
    """AMQP's short strings have at most 255 bytes."""
    with pytest.raises(TypeError, match="255"):
        method_frame(1, "colobus.requests", "k" * 256, True)
    with pytest.raises(ValueError, match="255"):
        header_frame(1, 0, delivery_mode=2, timestamp=_NOW, message_id="é" * 128)
