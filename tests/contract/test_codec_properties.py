"""The codec over all messages there can be, and over all bytes there can be."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.contract.codec import UndecodableMessage, decode, encode
from shared.contract.messages import Message
from tests.contract.golden_files import NAMES, as_bytes, golden
from tests.contract.strategies import JSON, envelopes, messages


@given(st.data(), messages())
def test_every_message_survives_the_wire(data: st.DataObject, message: Message) -> None:
    """Whatever is sent is received: no field, no text, no time is changed on the way."""
    envelope = data.draw(envelopes(message))
    assert decode(encode(envelope, message)) == (envelope, message)


@given(st.data(), messages())
def test_what_is_sent_is_a_cloudevent(data: st.DataObject, message: Message) -> None:
    """CloudEvents 1.0.2 §3: required attributes, names of lower-case letters and digits."""
    event = json.loads(encode(data.draw(envelopes(message)), message))
    assert event["specversion"] == "1.0"
    assert event["type"] == f"org.colobus.{type(message).__name__}.v1"
    assert {"id", "source", "subject", "time", "datacontenttype", "data"} <= set(event)
    assert all(name.isalnum() and name.islower() and name.isascii() for name in event)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_do_more_than_not_decode(body: bytes) -> None:
    """There is one exception for all garbage."""
    try:
        decode(body)
    except UndecodableMessage:
        return
    raise AssertionError("garbage was decoded")


@given(st.data(), st.sampled_from(NAMES), JSON)
def test_no_change_to_a_message_does_more(data: st.DataObject, name: str, odd: Any) -> None:
    """Any value put anywhere into a message is either understood or undecodable."""
    event = golden(name)
    parents = list(_containers(event))
    parent = data.draw(st.sampled_from(parents))
    keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
    parent[data.draw(st.sampled_from(keys))] = odd
    try:
        envelope, message = decode(as_bytes(event))
    except UndecodableMessage:
        return
    assert decode(encode(envelope, message)) == (envelope, message)


def _containers(value: Any) -> list[Any]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    inner = [found for part in parts for found in _containers(part)]
    return [value, *inner] if parts else inner
