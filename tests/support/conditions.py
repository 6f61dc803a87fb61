"""Waiting for a condition, with a generous bound; tests never just sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

_T = TypeVar("_T")
_PAUSE = 0.1


async def eventually(
    condition: Callable[[], Awaitable[_T | None]], *, within: float = 60, what: str = "it"
) -> _T:
    """Await ``condition`` until it returns something true; that is returned."""
    deadline = time.monotonic() + within
    while True:
        result = await condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}; last: {result!r}")
        await asyncio.sleep(_PAUSE)


def eventually_sync(
    condition: Callable[[], _T | None], *, within: float = 60, what: str = "it"
) -> _T:
    """Call ``condition`` until it returns something true; that is returned."""
    deadline = time.monotonic() + within
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}; last: {result!r}")
        time.sleep(_PAUSE)


@asynccontextmanager
async def meanwhile(doing: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run it beside, until the end; what it raised is raised then."""
    task = asyncio.create_task(doing)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
