"""Identifiers: ``<kind>-<ulid, lower case>``, sortable by creation time."""

from __future__ import annotations

import os
import re
import threading
import time

from ulid_transform import bytes_to_ulid, ulid_to_timestamp

_lock = threading.Lock()
_newest = 0
_ULID = re.compile(r"^[0-7][0-9a-hjkmnp-tv-z]{25}$")


def new_ulid() -> str:
    """Return a new ULID in lower case (26 characters of Crockford's base 32).

    48 bits of the time in milliseconds and 80 random ones, which are the system's; within one
    millisecond each is the next number after this process's last (github.com/ulid/spec).
    """
    global _newest
    with _lock:
        value = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10), "big")
        if value >> 80 == _newest >> 80:
            value = _newest + 1
        _newest = value
    return ulid_of(value.to_bytes(16, "big"))


def ulid_of(value: bytes) -> str:
    """Return 16 bytes in the form of a ULID in lower case."""
    return bytes_to_ulid(value).lower()


def new_id(kind: str) -> str:
    """Return a new resource id of ``kind``."""
    return f"{kind}-{new_ulid()}"


def is_id(value: str, kind: str) -> bool:
    """Tell whether ``value`` has the form of an id of ``kind`` (not whether it exists)."""
    prefix, _, ulid = value.rpartition("-")
    return prefix == kind and _ULID.fullmatch(ulid) is not None


def kind_of(resource_id: str) -> str:
    """Return the kind that an id is of; what has not the form of an id is of none (empty)."""
    prefix, _, ulid = resource_id.rpartition("-")
    return prefix if _ULID.fullmatch(ulid) else ""


def created_at(resource_id: str) -> float | None:
    """Return when a resource's id was given, in seconds since 1970; None where it is no such id."""
    _, _, ulid = resource_id.rpartition("-")
    return ulid_to_timestamp(ulid.upper()) / 1000 if _ULID.fullmatch(ulid) else None
