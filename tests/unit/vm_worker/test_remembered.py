from __future__ import annotations

import pytest

from services.vm_worker.remembered import Remembered, is_uuid


class Asked:
    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> int:
        self.times += 1
        return self.times


async def test_an_answer_is_asked_for_once() -> None:
    """A burst of VMs of one image costs one look-up."""
    names, ask = Remembered[int](ttl=60), Asked()
    assert [await names.get("a", ask) for _ in range(3)] == [1, 1, 1]


async def test_what_is_old_or_forgotten_is_asked_for_again() -> None:
    """Names may come to mean something else."""
    ask = Asked()
    old = Remembered[int](ttl=0)
    assert [await old.get("a", ask) for _ in range(2)] == [1, 2]
    kept = Remembered[int](ttl=60)
    await kept.get("a", ask)
    kept.forget()
    assert await kept.get("a", ask) == 4


async def test_a_failure_is_not_remembered() -> None:
    """What is missing now may be there the next time."""
    names = Remembered[int](ttl=60)

    async def fail() -> int:
        raise LookupError("not there")

    with pytest.raises(LookupError):
        await names.get("a", fail)
    assert await names.get("a", Asked()) == 1


async def test_the_memory_is_bounded() -> None:
    """Users may ask for as many names as they like."""
    names, ask = Remembered[int](ttl=60, size=2), Asked()
    for key in "abc":
        await names.get(key, ask)
    assert await names.get("c", ask) == 3
    assert await names.get("a", ask) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0b6f9c1e-1c2d-4e5f-8a9b-0c1d2e3f4a5b", True),
        ("d5a66e13e3eb40cd823ec9367e442a02", True),
        ("debian-12", False),
        ("0b6f9c1e-1c2d-4e5f-8a9b-0c1d2e3f4a5b/../x", False),
        ("", False),
    ],
)
def test_only_ids_are_asked_for_as_ids(text: str, expected: bool) -> None:
    """A name never becomes a part of a path."""
    assert is_uuid(text) is expected
