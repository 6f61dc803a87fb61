"""What names mean in a project, remembered for a while, so that a VM costs no look-ups."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")


def is_uuid(text: str) -> bool:
    """Tell whether ``text`` has the form of an OpenStack id, so that asking by id makes sense."""
    return _UUID.fullmatch(text) is not None


class Remembered(Generic[T]):
    """Answers by key, for ``ttl`` seconds; at most ``size`` of them."""

    def __init__(self, ttl: float, size: int = 1000) -> None:
        self._ttl = ttl
        self._size = size
        self._known: dict[str, tuple[float, T]] = {}

    async def get(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what is known of ``key``, or ask and remember; failures are not remembered."""
        known = self._known.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        answer = await ask()
        while len(self._known) >= self._size:
            self._known.pop(next(iter(self._known)))
        self._known[key] = (time.monotonic() + self._ttl, answer)
        return answer

    def forget(self) -> None:
        """Ask anew from now on."""
        self._known.clear()
