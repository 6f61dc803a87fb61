"""Property fields that the AMQP library can't read must not end the connection.

pamqp raises on a timestamp beyond year 9999, a short string or table key that isn't UTF-8 and on
tables nested too deep, and its caller then drops the whole connection. The broker lets any
publisher send these, so one such message would disconnect its consumer again and again. Here
they read as nothing; the message then goes the way of all garbage, to the dead letters.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from pamqp import decode

_Decoder = Callable[[bytes], tuple[int, Any]]
#: What pamqp's decoders raise at hostile input (RecursionError: nested tables).
_FAULTS = (ValueError, OverflowError, OSError, RecursionError, ArithmeticError, struct.error)


def install() -> None:
    """Put the lenient decoders into pamqp's tables; calling it again changes nothing."""
    decode.METHODS["shortstr"] = _short_string
    decode.METHODS["timestamp"] = decode.TABLE_MAPPING[b"T"] = _timestamp
    decode.METHODS["table"] = _table


def _short_string(value: bytes) -> tuple[int, str]:
    length = value[0]
    return length + 1, value[1 : length + 1].decode("utf-8", "replace")


def _timestamp(value: bytes) -> tuple[int, Any]:
    try:
        return decode.timestamp(value)
    except _FAULTS:
        return 8, None


def _table(value: bytes) -> tuple[int, Any]:
    try:
        return decode.field_table(value)
    except _FAULTS:
        return 4 + int.from_bytes(value[:4], "big"), {}
