"""Hypothesis strategies for any message, derived from its type."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from hypothesis import strategies as st
from msgspec import inspect
from msgspec.inspect import Type

from shared.contract.codec import Envelope, envelope_for
from shared.contract.messages import MESSAGES, Message

#: What JSON, and PostgreSQL's text, can hold.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
ATTRIBUTES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)
TRACEPARENTS = st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True)
TIMES = st.datetimes(timezones=st.just(UTC))
INTEGERS = st.integers(-(2**63), 2**63 - 1)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(TEXTS, parts, max_size=3),
    max_leaves=8,
)


def values(kind: Type) -> st.SearchStrategy[Any]:
    """All values of a type of the contract."""
    match kind:
        case inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: values(field.type) for field in fields})
        case inspect.UnionType(types=types):
            return st.one_of(*(values(part) for part in types))
        case inspect.EnumType(cls=enumeration):
            return st.sampled_from(list(enumeration))
        case inspect.VarTupleType(item_type=item):
            return st.lists(values(item), max_size=3).map(tuple)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(values(key), values(value), max_size=3)
        case _:
            return _PLAIN[type(kind)]


_PLAIN: dict[type[Type], st.SearchStrategy[Any]] = {
    inspect.AnyType: JSON,
    inspect.NoneType: st.none(),
    inspect.BoolType: st.booleans(),
    inspect.IntType: INTEGERS,
    inspect.StrType: TEXTS,
    inspect.DateTimeType: TIMES,
}


def messages() -> st.SearchStrategy[Message]:
    """Any message of the contract."""
    return st.sampled_from(sorted(MESSAGES)).flatmap(
        lambda name: values(inspect.type_info(MESSAGES[name]))
    )


@st.composite
def envelopes(draw: st.DrawFn, message: Message) -> Envelope:
    """Any envelope for this message."""
    counts = st.none() | st.integers(0, 2**31 - 1)
    return envelope_for(
        message,
        id=draw(ATTRIBUTES),
        source=draw(ATTRIBUTES),
        subject=draw(ATTRIBUTES),
        tenant=draw(ATTRIBUTES),
        time=draw(TIMES),
        correlationid=draw(st.none() | ATTRIBUTES),
        causationid=draw(st.none() | ATTRIBUTES),
        traceparent=draw(
            st.none()
            | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True)
        ),
        attempt=draw(counts),
        step=draw(st.none() | ATTRIBUTES),
        not_after=draw(st.none() | TIMES),
        sequence=draw(counts),
    )
