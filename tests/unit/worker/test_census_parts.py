"""A census is cut into parts that a message can hold."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.codec import MAX_BYTES, decode, encode, envelope_for
from shared.contract.messages import CensusTaken, Holding
from shared.worker.census import PART_BYTES, in_parts


def _holding(number: int, name: str = "x") -> Holding:
    return Holding(what="server", id=f"s-{number}", place="devcloud", tenant="bigtop", name=name)


def test_an_empty_census_is_a_census() -> None:
    """Nothing is news too: what was there is gone."""
    assert list(in_parts([])) == [[]]


@given(st.lists(st.integers(0, 300), max_size=60))
def test_parts_are_the_whole_and_none_is_too_large(lengths: list[int]) -> None:
    """In order, nothing twice, nothing missing."""
    holdings = [_holding(number, "ż" * length) for number, length in enumerate(lengths)]
    parts = list(in_parts(holdings, at_most=1000))
    assert [one for part in parts for one in part] == holdings
    assert all(part for part in parts) or not holdings


@pytest.mark.parametrize("name", ["n" * 255, "\U0001f600" * 255, "\x01" * 255])
def test_the_largest_part_fits_into_a_message(name: str) -> None:
    """Also with names of the longest kind that JSON makes longer still."""
    parts = list(in_parts([_holding(number, name) for number in range(3000)]))
    assert len(parts) > 1
    for number, part in enumerate(parts, start=1):
        message = CensusTaken(
            place="devcloud",
            taken_at=datetime.now(UTC),
            holdings=tuple(part),
            part=number,
            parts=len(parts),
        )
        envelope = envelope_for(message, source="s" * 500, subject="x" * 500, tenant="colobus")
        body = encode(envelope, message)
        assert len(body) < MAX_BYTES
        assert decode(body)[1] == message
    assert MAX_BYTES > PART_BYTES
