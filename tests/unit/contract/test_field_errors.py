"""Every fault of a body is found, and only faults are."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from shared.contract.field_errors import MAX_ERRORS, field_errors, pointer


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    """A part with a bound."""

    number: Annotated[int, Meta(ge=1)]


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    """One field of each sort that bodies have."""

    name: Annotated[str, Meta(max_length=3)]
    inner: Inner | None = None
    parts: Annotated[tuple[Inner, ...], Meta(max_length=2)] = ()
    words: Annotated[dict[Annotated[str, Meta(pattern="^[a-z]+$")], str], Meta(max_length=2)] = {}
    flag: bool = False


@pytest.mark.parametrize(
    ("value", "pointers"),
    [
        ({"name": "ok"}, []),
        ({"name": "ok", "inner": None, "flag": True}, []),
        ({}, ["/name"]),
        (5, [""]),
        ({"name": "long", "inner": {"number": 0}, "x": 1}, ["/x", "/name", "/inner/number"]),
        ({"name": "a", "inner": {}}, ["/inner/number"]),
        ({"name": "a", "inner": []}, ["/inner"]),
        ({"name": "a", "parts": [{"number": ""}, 3]}, ["/parts/0/number", "/parts/1"]),
        ({"name": "a", "parts": [{"number": 1}] * 3}, ["/parts"]),
        ({"name": "a", "words": {"A": "x", "b": 1}}, ["/words/A", "/words/b"]),
        ({"name": "a", "words": {"a": "", "b": "", "c": ""}}, ["/words"]),
        ({"name": "a", "a/b": 1, "~": 2}, ["/a~1b", "/~0"]),
    ],
)  # fmt: skip
def test_each_fault_has_its_pointer(value: Any, pointers: list[str]) -> None:
    """Nested, in lists, in maps; a container's own bound only when its parts are good."""
    assert [error.pointer for error in field_errors(value, Outer)] == pointers


class Ruled(msgspec.Struct, forbid_unknown_fields=True):
    """Fields that depend on each other."""

    low: int = 0
    high: int = 9
    word: str | None = None

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be above high.")
        if self.word == "odd":
            raise ValueError("That is too odd.")


class Holder(msgspec.Struct):
    """Something with such a part."""

    part: Ruled | None = None


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        ({"low": 3, "high": 3}, []),
        ({"low": 3, "high": 2}, [("/low", "low must not"), ("/high", "low must not")]),
        ({"low": 10}, [("/low", "low must not"), ("/high", "low must not")]),
        ({"low": 3, "high": 2, "x": 1}, [("/x", "no such field")]),
        ({"word": "odd"}, [("", "too odd")]),
    ],
)
def test_a_rule_is_told_of_each_field_that_it_names(
    value: Any, faults: list[tuple[str, str]]
) -> None:
    """In the rule's own words; of the whole where it names none, and after the fields' own."""
    for at, found in (
        ("", field_errors(value, Ruled)),
        ("/part", field_errors({"part": value}, Holder)),
    ):
        assert [error.pointer for error in found] == [at + place for place, _ in faults]
        for error, (_, words) in zip(found, faults, strict=True):
            assert words in error.detail


def test_faults_are_bounded() -> None:
    """A body full of faults doesn't make an answer without an end."""
    value = {"name": "a"} | {f"x{number}": 1 for number in range(5000)}
    assert len(field_errors(value, Outer)) == MAX_ERRORS
    assert len(pointer("x" * 10_000)) < 300


_any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
)


@given(
    st.dictionaries(st.sampled_from(["name", "inner", "parts", "words", "flag", "number"]), _any)
    | _any
)
def test_what_has_no_fault_is_what_msgspec_takes(value: Any) -> None:
    """The walk and msgspec's own check agree on every value."""
    try:
        msgspec.convert(value, Outer)
    except msgspec.ValidationError:
        assert field_errors(value, Outer)
    else:
        assert field_errors(value, Outer) == []
