from __future__ import annotations

import asyncio

import pytest

from services.vm_worker.remembered import Remembered, is_uuid


class Asked:
    def __init__(self, times: int = 0) -> None:
        self.times = times

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


async def test_who_asks_at_the_same_time_shares_the_answer() -> None:
    """Twenty VMs at once cost one look-up; one of them giving up costs the others nothing."""
    names, answer, times = Remembered[str](ttl=60), asyncio.Event(), 0

    async def ask() -> str:
        nonlocal times
        times += 1
        await answer.wait()
        return "found"

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(names.get("a", ask)) for _ in range(20)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        answer.set()
    assert {task.result() for task in waiting[1:]} == {"found"}
    assert waiting[0].cancelled()
    assert times == 1


async def test_who_asks_at_the_same_time_shares_the_failure() -> None:
    """A cloud that hangs is waited for once."""
    names, times = Remembered[str](ttl=60), 0

    async def fail() -> str:
        nonlocal times
        times += 1
        await asyncio.sleep(0)
        raise LookupError("not there")

    asked = (names.get("a", fail) for _ in range(5))
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LookupError] * 5
    assert times == 1


async def test_an_answer_from_before_the_forgetting_is_not_remembered() -> None:
    """It may be what was to be forgotten."""
    names, late = Remembered[int](ttl=60), asyncio.Event()

    async def old() -> int:
        await late.wait()
        return 1

    first = asyncio.create_task(names.get("a", old))
    await asyncio.sleep(0)
    names.forget()
    late.set()
    assert await first == 1
    assert await names.get("a", Asked(41)) == 42


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
