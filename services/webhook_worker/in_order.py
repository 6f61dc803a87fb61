"""Handlers run side by side; what concerns one resource is handled in the order of arrival."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class InOrder:
    """A lock per key, which serves whoever waits for it first come, first served."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: str) -> asyncio.Lock:
        """Return the lock of ``key``; it lasts as long as somebody holds it or waits for it."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock
