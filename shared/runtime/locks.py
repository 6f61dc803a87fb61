"""One at a time per key, within this process: who waits is served first come, first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class StillHeld(Exception):
    """Somebody else had the key for as long as it could be waited for."""


class KeyedLocks:
    """A lock per key; keys that nobody holds or awaits take no memory."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, key: Hashable, within: float | None = None) -> AsyncIterator[None]:
        """Wait for the key and hold it; raises `StillHeld` after ``within`` seconds."""
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            try:
                async with asyncio.timeout(within):
                    await lock.acquire()
            except TimeoutError:
                raise StillHeld from None
            try:
                yield
            finally:
                lock.release()
        finally:
            self._release(key)

    def _release(self, key: Hashable) -> None:
        lock, users = self._locks.pop(key)
        if users > 1:
            self._locks[key] = (lock, users - 1)
