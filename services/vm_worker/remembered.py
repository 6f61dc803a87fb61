"""What names mean in a project, remembered for a while, so that a VM costs no look-ups."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")


def is_uuid(text: str) -> bool:
    """Tell whether ``text`` has the form of an OpenStack id, so that asking by id makes sense."""
    return _UUID.fullmatch(text) is not None


class Remembered(Generic[T]):
    """Answers by key, for ``ttl`` seconds; at most ``size`` of them.

    Who asks while the same is being asked shares the answer, or the failure: a burst costs one
    call, and a cloud that hangs costs all of them one time-out and not one after the other.
    """

    def __init__(self, ttl: float, size: int = 1000) -> None:
        self._ttl = ttl
        self._size = size
        self._known: dict[str, tuple[float, T]] = {}
        self._asking: dict[str, asyncio.Task[T]] = {}

    async def get(self, key: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what is known of ``key``, or ask and remember; failures are not remembered."""
        known = self._known.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(ask())
            task.add_done_callback(lambda done: self._answered(key, done))
        # Whoever gives up waiting must not take the answer from the others.
        return await asyncio.shield(task)

    def _answered(self, key: str, task: asyncio.Task[T]) -> None:
        if self._asking.get(key) is not task:
            return  # forgotten meanwhile
        del self._asking[key]
        if task.cancelled() or task.exception() is not None:
            return
        while len(self._known) >= self._size:
            self._known.pop(next(iter(self._known)))
        self._known[key] = (time.monotonic() + self._ttl, task.result())

    def forget(self) -> None:
        """Ask anew from now on."""
        self._known.clear()
        self._asking.clear()
