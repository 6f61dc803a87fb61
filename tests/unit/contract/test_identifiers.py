"""Identifiers."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.contract.identifiers import created_at, is_id, new_id, new_ulid, ulid_of


def test_new_ids_are_of_their_kind_and_unique() -> None:
    """Form and freshness."""
    ids = [new_id("vm") for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(is_id(id, "vm") for id in ids)
    assert not any(is_id(id, "volume") for id in ids)


ULID = "01jnf6y3z8k2w9q4t7b5r1c0ga"


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (f"vm-{ULID}", True),
        (f"vm-{ULID.upper()}", False),
        (f"vm-{ULID}\n", False),
        (f"vm-{ULID}0", False),
        (f"vm-{ULID[1:]}", False),
        (f"vm-8{ULID[1:]}", False),
        (f"vm-{ULID[:-1]}u", False),
        (f"vm--{ULID}", False),
        (f"x-vm-{ULID}", False),
        (ULID, False),
        ("vm-", False),
        ("", False),
    ],
)
def test_only_the_exact_form_is_an_id(text: str, valid: bool) -> None:
    """What a user gives as an id goes no further unless it has the form of one."""
    assert is_id(text, "vm") is valid


def test_an_id_tells_when_it_was_given() -> None:
    """In seconds; what has not the form of an id tells nothing."""
    before = time.time()
    assert before - 0.001 <= (created_at(new_id("vm")) or 0.0) <= time.time()
    assert created_at(f"vm-{ULID.upper()}") is created_at("vm_worker/devcloud") is None


def test_ids_of_one_process_are_in_the_order_in_which_they_were_given() -> None:
    """Also within a millisecond, and whichever thread asks: none is given twice."""
    with ThreadPoolExecutor(4) as threads:
        series = list(threads.map(lambda _: [new_ulid() for _ in range(2000)], range(8)))
    assert all(ids == sorted(ids) for ids in series)
    assert len({one for ids in series for one in ids}) == 16_000


def test_bytes_are_written_as_the_specification_has_it() -> None:
    """The first character holds three bits alone (github.com/ulid/spec)."""
    assert ulid_of(bytes(16)) == "0" * 26
    assert ulid_of(b"\xff" * 16) == "7" + "z" * 25
    assert ulid_of((1469918176385).to_bytes(6, "big") + bytes(10)) == "01aryz6s41" + "0" * 16


def test_a_new_ulid_is_lower_case() -> None:
    """26 characters of Crockford's base 32."""
    ulid = new_ulid()
    assert (len(ulid), ulid) == (26, ulid.lower())
