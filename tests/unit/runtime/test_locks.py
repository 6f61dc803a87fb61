from __future__ import annotations

import asyncio

import pytest

from shared.runtime.locks import KeyedLocks, StillHeld


async def test_one_key_is_held_by_one_at_a_time() -> None:
    """A second delivery of a command waits for the first; other commands don't."""
    locks, order = KeyedLocks(), []
    release = asyncio.Event()

    async def hold(key: str, name: str) -> None:
        async with locks.hold(key):
            order.append(f"{name} in")
            if name == "first":
                await release.wait()
            order.append(f"{name} out")

    first = asyncio.create_task(hold("a", "first"))
    second = asyncio.create_task(hold("a", "second"))
    other = asyncio.create_task(hold("b", "other"))
    await other
    release.set()
    await asyncio.gather(first, second)
    assert order == ["first in", "other in", "other out", "first out", "second in", "second out"]


async def test_keys_that_nobody_holds_take_no_memory() -> None:
    """Millions of commands leave nothing behind, cancelled ones neither."""
    locks = KeyedLocks()
    async with locks.hold("a"):
        waiter = asyncio.create_task(locks.hold("a").__aenter__())
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait([waiter])
    assert locks._locks == {}


async def test_who_can_not_wait_any_longer_is_told_and_leaves_nothing_behind() -> None:
    """The holder goes on; a timeout of what is done under the lock is not taken for that."""
    locks = KeyedLocks()
    async with locks.hold("a"):
        with pytest.raises(StillHeld):
            async with locks.hold("a", 0.0):
                pytest.fail("it is held")
    with pytest.raises(TimeoutError):
        async with locks.hold("a", 60.0):
            raise TimeoutError
    assert locks._locks == {}
