"""Work in lanes: one after the other within a lane, all lanes side by side."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Lanes(Generic[_T]):
    """``work`` says whether the lane goes on; if not, all that wait in it are ``skip``ped."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        work: Callable[[_T], Awaitable[bool]],
        skip: Callable[[_T], None],
    ) -> None:
        self._group = group
        self._work = work
        self._skip = skip
        self._lanes: dict[Hashable, deque[_T]] = {}

    def add(self, lane: Hashable, item: _T) -> None:
        """Put ``item`` at the end of ``lane``; a failure of work fails the group."""
        waiting = self._lanes.get(lane)
        if waiting is not None:
            waiting.append(item)
            return
        self._lanes[lane] = deque([item])
        self._group.create_task(self._drive(lane))

    async def _drive(self, lane: Hashable) -> None:
        waiting = self._lanes[lane]
        while waiting:
            if not await self._work(waiting.popleft()):
                while waiting:
                    self._skip(waiting.popleft())
        del self._lanes[lane]
