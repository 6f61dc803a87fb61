"""One statement for many: what is asked for while a batch is under way goes into the next one.

Alone, a caller waits no longer than without; in a crowd, many share one round trip and one commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar, cast

from shared.runtime.errors import TemporaryError

_T = TypeVar("_T")
_R = TypeVar("_R")


class Gathering(Generic[_T, _R]):
    """``work`` does all of a batch or nothing, and returns an outcome for each, in order.

    When it fails for another reason than an outage, each is tried alone, so that only the culprit
    sees the error. At most ``lanes`` batches of at most ``most`` are under way.
    """

    def __init__(
        self,
        work: Callable[[Sequence[_T]], Awaitable[Sequence[_R]]],
        *,
        most: int = 64,
        lanes: int = 2,
    ) -> None:
        self._work = work
        self._most = most
        self._lanes = lanes
        self._waiting: deque[tuple[_T, asyncio.Future[_R]]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    async def do(self, item: _T) -> _R:
        """Have ``item`` done with others; a caller that is cancelled leaves it in its batch."""
        done: asyncio.Future[_R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if len(self._under_way) < self._lanes:
            # A context of its own: its log lines belong to no single caller's request.
            task = asyncio.create_task(self._drive(), name="gathering", context=Context())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return await done

    async def _drive(self) -> None:
        while self._waiting:
            size = min(len(self._waiting), self._most)
            await self._together([self._waiting.popleft() for _ in range(size)])
        # At once, not when the loop comes to tell that this task is done: whoever asks in between,
        # as one does who has just had its answer and asks again, would wait for nobody.
        self._under_way.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _together(self, batch: Sequence[tuple[_T, asyncio.Future[_R]]]) -> None:
        items = [item for item, _ in batch]
        # Whatever goes wrong is the outcome of those who asked for it.
        [outcomes] = await asyncio.gather(self._work(items), return_exceptions=True)
        if not isinstance(outcomes, BaseException):
            for (_, done), outcome in zip(batch, outcomes, strict=True):
                if not done.done():
                    done.set_result(outcome)
        elif len(batch) == 1 or isinstance(outcomes, TemporaryError):
            for _, done in batch:
                if not done.done():
                    done.set_exception(outcomes)
        else:
            for one in batch:
                await self._together([one])
