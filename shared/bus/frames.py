"""A message as AMQP's bytes: method, header and body frames.

pamqp checks and encodes each argument by itself, which costs more than all the rest of publishing.
So the method's frame, the same for every message of a route, is pamqp's and remembered, and the
header is put together here. Source: AMQP 0-9-1, §2.3.5 and §4.2.6; the order of properties is that
of class ``basic`` in its definition.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from aiormq.abc import FieldTable
from pamqp import commands, encode, frame

#: How many method frames are remembered: one for each pair of exchange and routing key in use.
_KNOWN_ROUTES = 1024
_HEADER, _BODY, _END = 2, 3, b"\xce"
_CLASS_BASIC = 60
_LONGEST = 255
_frame_head = struct.Struct(">BHI").pack
_header_head = struct.Struct(">HHQH").pack
_timestamp = struct.Struct(">Q").pack


@lru_cache(_KNOWN_ROUTES)
def method_frame(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    """``basic.publish``; raises `ValueError` or `TypeError` for names that AMQP can't carry."""
    publish = commands.Basic.Publish(
        exchange=exchange, routing_key=routing_key, mandatory=mandatory
    )
    return frame.marshal(publish, channel)


def header_frame(
    channel: int,
    body_size: int,
    *,
    content_type: str | None = None,
    headers: Mapping[str, str | int | bool | float] | None = None,
    delivery_mode: int,
    correlation_id: str | None = None,
    reply_to: str | None = None,
    expiration: str | None = None,
    message_id: str | None = None,
    timestamp: datetime,
    type: str | None = None,
    user_id: str | None = None,
    app_id: str | None = None,
) -> bytes:
    """The content header, without what is empty; raises `ValueError` for too long a text."""
    flags = 1 << 12 | 1 << 6
    parts = [b""]
    if content_type:
        flags |= 1 << 15
        parts.append(_short(content_type))
    if headers:
        flags |= 1 << 13
        table: FieldTable = dict(headers)
        parts.append(encode.field_table(table))
    parts.append(delivery_mode.to_bytes(1, "big"))
    for bit, text in ((10, correlation_id), (9, reply_to), (8, expiration), (7, message_id)):
        if text:
            flags |= 1 << bit
            parts.append(_short(text))
    parts.append(_timestamp(int(timestamp.timestamp())))
    for bit, text in ((5, type), (4, user_id), (3, app_id)):
        if text:
            flags |= 1 << bit
            parts.append(_short(text))
    parts[0] = _header_head(_CLASS_BASIC, 0, body_size, flags)
    return _framed(_HEADER, channel, b"".join(parts))


def body_frames(channel: int, body: bytes, largest: int) -> bytes:
    """The body, in frames with ``largest`` bytes of it at most."""
    if len(body) <= largest:
        return _framed(_BODY, channel, body) if body else b""
    parts = (body[at : at + largest] for at in range(0, len(body), largest))
    return b"".join(_framed(_BODY, channel, part) for part in parts)


def _framed(kind: int, channel: int, payload: bytes) -> bytes:
    return _frame_head(kind, channel, len(payload)) + payload + _END


def _short(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > _LONGEST:
        raise ValueError(f"a text of {len(encoded)} bytes is longer than {_LONGEST}")
    return len(encoded).to_bytes(1, "big") + encoded
