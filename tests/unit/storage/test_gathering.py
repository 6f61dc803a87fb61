"""Many callers, few batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.runtime.errors import TemporaryError
from shared.storage import Gathering


class Work:
    """Doubles numbers; what is in ``bad`` fails the batch that it is in."""

    def __init__(self, *bad: int, error: type[Exception] = ValueError) -> None:
        self.batches: list[list[int]] = []
        self._bad = bad
        self._error = error

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(numbers))
        await asyncio.sleep(0)
        if set(numbers) & set(self._bad):
            raise self._error("bad")
        return [2 * number for number in numbers]


async def test_what_is_asked_for_at_once_shares_a_batch() -> None:
    """And each caller gets its own outcome."""
    work = Work()
    gathering = Gathering(work, lanes=1)
    outcomes = await asyncio.gather(*(gathering.do(number) for number in range(10)))
    assert outcomes == [2 * number for number in range(10)]
    assert work.batches == [list(range(10))]


async def test_a_batch_has_at_most_so_many() -> None:
    """The others go into the next."""
    work = Work()
    gathering = Gathering(work, most=4, lanes=1)
    await asyncio.gather(*(gathering.do(number) for number in range(10)))
    assert [len(batch) for batch in work.batches] == [4, 4, 2]


async def test_only_the_culprit_sees_the_error() -> None:
    """The others of its batch are done one by one."""
    gathering = Gathering(Work(3), lanes=1)
    outcomes = await asyncio.gather(
        *(gathering.do(number) for number in range(5)), return_exceptions=True
    )
    assert [type(one) for one in outcomes] == [int, int, int, ValueError, int]


async def test_an_outage_is_everybodys() -> None:
    """Trying each alone would only make them wait."""
    work = Work(3, error=TemporaryError)
    gathering = Gathering(work, lanes=1)
    outcomes = await asyncio.gather(
        *(gathering.do(number) for number in range(5)), return_exceptions=True
    )
    assert {type(one) for one in outcomes} == {TemporaryError}
    assert len(work.batches) == 1


async def test_a_caller_that_leaves_takes_nobody_with_it() -> None:
    """Its batch goes on."""
    gathering = Gathering(Work(), lanes=1)
    leaving = asyncio.create_task(gathering.do(1))
    staying = asyncio.create_task(gathering.do(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 4
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_who_asks_again_as_soon_as_it_is_answered_is_served() -> None:
    """The batch that served it is over then, and nobody else is there to start the next one."""

    async def work(items: Sequence[int]) -> Sequence[int]:
        return items

    gathering = Gathering(work, lanes=1)
    async with asyncio.timeout(20):
        assert [await gathering.do(number) for number in range(50)] == list(range(50))
