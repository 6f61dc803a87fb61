"""Messages gone wrong in every way that Hypothesis can think of: bytes, fields, properties."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

_texts = st.text(st.characters(codec="utf-8"), max_size=30)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
#: Values that somebody once did not think of.
_odd: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, False, 0, -1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, -(10**30), 1e308, 0.5,
        "", " ", "\x00", "a\x00b", "\ud800", "\u202e", "a\nb", "x" * 300, "x" * 5_000,
        "\U0001f600" * 99,
        "../../etc/passwd", "a.b.c", "#", "*", "%s{}", "openlab", "nobody", "colobus",
        "vm-01jnf6y3z8k2w9q4t7b5r1c0gb", "operation-01jnf6zq2m4n6p8r0s1t3v5w7x", "left-devcloud",
        "2026-03-01T12:00:00", "2026-13-45T99:99:99Z", "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "infinity",
        [], {}, [[[]]], {"": {"": None}}, [None] * 50,
    ]
)  # fmt: skip
_values = _odd | _json
#: Others of the same sort, which a decoder has less against.
_times = st.sampled_from(
    ["2026-03-01T12:00:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
     "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-03-01T12:00:00.000000001Z"]
)  # fmt: skip
_numbers = st.sampled_from([0, -1, 1, 2, 2**31 - 1, 2**31, 2**63 - 1, -(2**63), 2**63])
_words = st.sampled_from(
    ["", " ", "x" * 300, "x" * 100_000, "a.b.c", "#", "\x00", "openlab", "nobody", "colobus",
     "devcloud", "othercloud", "port", "server", "operation-x", "left-devcloud", "ż\U0001f600"]
)  # fmt: skip
_HUGE = "x" * (1024 * 1024)


@dataclass(frozen=True)
class Mutant:
    """A body, and the properties it comes with."""

    body: bytes
    properties: dict[str, Any] = field(default_factory=dict)


def mutants(events: list[dict[str, Any]], *, healthy: bool = True) -> st.SearchStrategy[Mutant]:
    """One of these CloudEvents, changed in a few places, or (``healthy``) in none."""
    changed = st.sampled_from(events).flatmap(_changed)
    bodies = st.one_of(changed, changed.flatmap(_spoilt), st.binary(max_size=60))
    if healthy:
        bodies |= st.sampled_from(events).map(as_bytes)
    return st.builds(Mutant, bodies, _properties)


def as_bytes(event: dict[str, Any]) -> bytes:
    """The event as JSON; what Python alone can say, such as half a character, is escaped."""
    return json.dumps(event).encode()


@st.composite
def _changed(draw: st.DrawFn, event: dict[str, Any]) -> bytes:
    made = copy.deepcopy(event)
    for _ in range(draw(st.integers(1, 3))):
        _change(draw, made)
    if draw(st.integers(0, 60)) == 0:
        made[draw(st.sampled_from(["subject", "comment"]))] = _HUGE
    return as_bytes(made)


def _change(draw: st.DrawFn, event: dict[str, Any]) -> None:
    paths = list(_paths(event))
    if not paths:
        return
    *way, last = draw(st.sampled_from(paths))
    parent: Any = event
    for step in way:
        parent = parent[step]
    what = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add", "repeat"]))
    if what == "remove":
        del parent[last]
    elif what == "add" and isinstance(parent, dict):
        parent[draw(_texts)] = copy.deepcopy(draw(_values))
    elif what == "repeat" and isinstance(parent[last], list):
        parent[last] = parent[last] * 40
    else:
        # A copy: the next change may be made inside of it.
        drawn = draw(_alike(parent[last]) | _alike(parent[last]) | _values)
        parent[last] = copy.deepcopy(drawn)


def _alike(value: Any) -> st.SearchStrategy[Any]:
    if isinstance(value, str):
        return _times if value[4:5] == "-" and value.endswith(("Z", "+00:00")) else _words
    return _numbers if isinstance(value, int) else _values


def _paths(value: Any, way: tuple[Any, ...] = ()) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        yield (*way, key)
        if isinstance(inner, dict | list):
            yield from _paths(inner, (*way, key))


@st.composite
def _spoilt(draw: st.DrawFn, body: bytes) -> bytes:
    made = bytearray(body)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(made) - 1)))
        match draw(st.sampled_from(["flip", "cut", "insert", "end"])):
            case "flip" if made:
                made[place] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del made[place : place + draw(st.integers(1, 20))]
            case "insert":
                made[place:place] = draw(st.binary(min_size=1, max_size=8))
            case "end":
                del made[place:]
    return bytes(made)


_header_names = st.sampled_from(
    ["x-colobus-repeated", "x-colobus-reason", "x-colobus-queue", "x-colobus-exchange",
     "x-colobus-routing-key", "x-colobus-user", "x-colobus-delays", "x-colobus-faults",
     "x-delivery-count", "x-death", "traceparent", "anything"]
)  # fmt: skip
_header_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(["", "true", "colobus-front-door", "scheduler.requests", "x" * 500]),
    st.lists(st.integers(0, 9), max_size=3),
    st.dictionaries(st.sampled_from(["count", "queue"]), st.integers(0, 9), max_size=2),
)
_short = st.sampled_from(["", "a", "x" * 255, "colobus", "ż\U0001f600"])
_properties = st.fixed_dictionaries(
    {},
    optional={
        "content_type": st.sampled_from(["", "text/plain", "application/cloudevents+json", "x/y"]),
        "content_encoding": st.sampled_from(["gzip", "utf-16", ""]),
        "headers": st.dictionaries(_header_names, _header_values, max_size=4),
        "delivery_mode": st.sampled_from([1, 2]),
        "priority": st.integers(0, 255),
        "correlation_id": _short,
        "reply_to": st.sampled_from(["", "dead_letters", "nowhere", "amq.rabbitmq.reply-to.g1h2"]),
        "message_id": _short,
        "timestamp": st.sampled_from([0, 2**31, 2**53]),
        "type": _short,
        "app_id": _short,
    },
)
