from __future__ import annotations

import asyncio

import pytest

from shared.contract.messages import DeprovisionVm, InspectVms, Message
from shared.worker.limits import AdaptiveLimit, Limits, NoSlot


async def falter(limit: AdaptiveLimit) -> None:
    async with limit.slot() as slot:
        slot.falter()


async def succeed(limit: AdaptiveLimit, times: int = 1) -> None:
    for _ in range(times):
        async with limit.slot():
            pass


async def test_no_more_than_the_limit_are_under_way_at_once() -> None:
    """What comes beyond the bound waits, and goes on when a place is free."""
    limit = AdaptiveLimit("test", "bounded", maximum=3)
    release, full, inside, most = asyncio.Event(), asyncio.Event(), 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with limit.slot():
            inside += 1
            most = max(most, inside)
            if inside == 3:
                full.set()
            await release.wait()
            inside -= 1

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work()) for _ in range(10)]
        await full.wait()
        release.set()
    assert all(task.done() for task in tasks)
    assert most == 3


async def test_a_failing_backend_halves_the_limit_down_to_one() -> None:
    """Multiplicative decrease: a backend that goes on failing gets one command at a time."""
    limit = AdaptiveLimit("test", "failing", maximum=16)
    seen = []
    for _ in range(6):
        await falter(limit)
        seen.append(limit.limit)
    assert seen == [8, 4, 2, 1, 1, 1]


async def test_the_failures_of_one_burst_cut_the_limit_once() -> None:
    """Sixteen commands that fail together are one piece of news, not sixteen."""
    limit = AdaptiveLimit("test", "burst", maximum=16)
    all_in = asyncio.Barrier(16)

    async def fail_together() -> None:
        async with limit.slot() as slot:
            await all_in.wait()
            slot.falter()

    await asyncio.gather(*(fail_together() for _ in range(16)))
    assert limit.limit == 8


async def test_success_raises_the_limit_by_about_one_per_round_up_to_its_maximum() -> None:
    """Additive increase: a round of successes as large as the limit lets one more in."""
    limit = AdaptiveLimit("test", "mending", maximum=8)
    await falter(limit)
    assert limit.limit == 4
    await succeed(limit, 5)
    assert limit.limit == 5
    await succeed(limit, 100)
    assert limit.limit == 8


async def test_a_waiter_that_gives_up_takes_no_place() -> None:
    """A cancelled command leaves the bound as it was."""
    limit = AdaptiveLimit("test", "cancelled", maximum=1)
    async with limit.slot():
        waiter = asyncio.create_task(succeed(limit))
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
    await succeed(limit)


async def test_a_wait_has_an_end_and_teaches_nothing() -> None:
    """Who finds no place in time is told so; the backend, which was not asked, loses nothing."""
    limit = AdaptiveLimit("test", "hanging", maximum=1)
    async with limit.slot():
        with pytest.raises(NoSlot):
            async with limit.slot(0.01):
                raise AssertionError("there was no place")
    assert limit.limit == 1
    async with limit.slot(0.01):
        pass


async def test_a_time_out_inside_is_not_taken_for_a_wait_without_end() -> None:
    """The handler's own errors stay what they are."""
    limit = AdaptiveLimit("test", "inside", maximum=1)
    with pytest.raises(TimeoutError):
        async with limit.slot(10):
            raise TimeoutError


async def test_an_error_inside_gives_the_place_back() -> None:
    """A handler that raises doesn't hold its place for ever."""
    limit = AdaptiveLimit("test", "raising", maximum=1)
    with pytest.raises(ValueError, match="ours"):
        async with limit.slot():
            raise ValueError("ours")
    await succeed(limit)


def test_each_backend_has_a_limit_of_its_own() -> None:
    """A cloud that falters does not slow down another."""

    def backend_of(message: Message) -> str:
        return str(getattr(message, "cloud", ""))

    limits = Limits("test", backend_of, maximum=4)
    one = limits.of(DeprovisionVm(cloud="one"))
    assert one is limits.of(InspectVms(cloud="one", vms=()))
    assert one is not limits.of(DeprovisionVm(cloud="two"))


async def test_the_smallest_turn_goes_first_and_of_the_same_the_first_that_came() -> None:
    """Also where somebody before has given up."""
    limit = AdaptiveLimit("test", "turns", maximum=1)
    order: list[str] = []

    async def work(name: str, at: float) -> None:
        async with limit.slot(turn=(at, "")):
            order.append(name)

    async with limit.slot():
        tasks = []
        for name, at in (("third", 2.0), ("gone", 0.0), ("first", 1.0), ("second", 1.0)):
            tasks.append(asyncio.create_task(work(name, at)))
            await asyncio.sleep(0)
        tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["first", "second", "third"]


async def test_who_is_let_in_just_when_it_gives_up_keeps_no_place() -> None:
    """Both can come in one turn of the loop."""
    limit = AdaptiveLimit("test", "both", maximum=1)
    leave = asyncio.Event()

    async def hold() -> None:
        async with limit.slot():
            await leave.wait()
        waiter.cancel()

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiter = asyncio.create_task(succeed(limit))
    await asyncio.sleep(0)
    leave.set()
    await asyncio.gather(holder, waiter, return_exceptions=True)
    assert waiter.cancelled()
    async with asyncio.timeout(60):
        await succeed(limit)
