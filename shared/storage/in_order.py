"""Work in order: one after the other of what has the same key, all else side by side."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class InOrder(Generic[_T]):
    """``work`` says whether to go on with its key; if not, all that wait there are ``skip``ped."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        work: Callable[[_T], Awaitable[bool]],
        skip: Callable[[_T], None],
    ) -> None:
        self._group = group
        self._work = work
        self._skip = skip
        self._waiting: dict[Hashable, deque[_T]] = {}

    def add(self, key: Hashable, item: _T) -> None:
        """Put ``item`` behind the others of ``key``; a failure of work fails the group."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(item)
            return
        self._waiting[key] = deque([item])
        self._group.create_task(self._drive(key))

    async def _drive(self, key: Hashable) -> None:
        waiting = self._waiting[key]
        while waiting:
            if not await self._work(waiting.popleft()):
                while waiting:
                    self._skip(waiting.popleft())
        del self._waiting[key]
