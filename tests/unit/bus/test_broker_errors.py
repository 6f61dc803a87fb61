"""What aiormq makes of a closing, and of a cancellation, becomes what it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from shared.bus.connection import ChannelGone, broker_errors


async def _raises() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as error:
        raise RuntimeError("the channel was closed under the call") from error


async def _swallows() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


@pytest.mark.parametrize("call", [_raises, _swallows])
async def test_a_cancellation_stays_one(call: Callable[[], Awaitable[None]]) -> None:
    """Who was told to end would else go on for ever."""

    async def works_for_ever() -> None:
        while True:
            try:
                async with broker_errors():
                    await call()
            except ChannelGone:
                continue

    task = asyncio.create_task(works_for_ever())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("call", [_raises, _swallows])
async def test_a_time_out_stays_one(call: Callable[[], Awaitable[None]]) -> None:
    """It is a cancellation until it has come out."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), broker_errors():
            await call()


async def test_a_cancellation_that_nobody_asked_for_is_a_closing() -> None:
    """Also while we clean up after one that somebody did ask for."""
    seen: list[ChannelGone] = []

    async def lost() -> None:
        with pytest.raises(ChannelGone) as caught:
            async with broker_errors():
                raise asyncio.CancelledError
        seen.append(caught.value)

    async def ends() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await lost()

    await lost()
    task = asyncio.create_task(ends())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(seen) == 2
