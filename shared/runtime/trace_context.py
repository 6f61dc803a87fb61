"""W3C Trace Context (https://www.w3.org/TR/trace-context/): reading and writing ``traceparent``.

Only ``traceparent`` is carried. ``tracestate`` is dropped, which §3.3 and §3.5 permit: it is other
vendors' data, and ours would carry one tenant's systems' words into logs and to its subscribers.
"""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

#: §3.2.1: version, trace-id, parent-id, flags; a later version may append more after a dash.
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN, _NO_VERSION = "0" * 32, "0" * 16, "ff"
_SAMPLED = 0x01
#: The flags that are defined: sampled (§3.2.3), and random trace-id (Level 2).
_KNOWN_FLAGS = 0x03


class TraceContext(NamedTuple):
    """A place in a trace: ids in lower-case hexadecimal digits, 32 and 16 of them."""

    trace_id: str
    span_id: str
    flags: int

    @property
    def traceparent(self) -> str:
        """The header's value, in version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    @property
    def sampled(self) -> bool:
        """Whether whoever was here before may have recorded it."""
        return bool(self.flags & _SAMPLED)


def parse(text: str | None) -> TraceContext | None:
    """Return what a ``traceparent`` says; None for none, and for one that §4.3 tells to ignore."""
    found = _FORM.fullmatch(text) if text else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == _NO_VERSION or (version == "00" and more is not None):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, span_id, int(flags, 16) & _KNOWN_FLAGS)


def begin() -> TraceContext:
    """Begin a trace that nobody records: it names a request in logs and messages."""
    return TraceContext(secrets.token_hex(16), secrets.token_hex(8), 0)
