"""How many commands may work on one backend at once: as many as it bears.

Additive increase, multiplicative decrease (as TCP's congestion window, RFC 5681): each success
lets a little more in, an overloaded or failing backend halves the bound. The failures of one
burst count once: only what started after the last cut can cut again.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.contract.messages import Message
from shared.worker.metrics import BACKEND_BUSY, BACKEND_LIMIT
from shared.worker.turns import Turn

#: The turn of those among whom none is preferred.
SAME: Turn = (0.0, "")


class NoSlot(Exception):
    """The backend had no place for so long as one could be waited for."""


@dataclass
class Slot:
    """One command's place on the backend; ``falter()`` says that the backend could not cope."""

    cuts_seen: int
    faltered: bool = False

    def falter(self) -> None:
        """The backend timed out, refused for load, or could not be reached."""
        self.faltered = True


class AdaptiveLimit:
    """An adaptive semaphore whose waiters have turns. ``maximum`` is also where it starts."""

    def __init__(self, worker: str, backend: str, *, maximum: int, minimum: int = 1) -> None:
        self._maximum, self._minimum = float(maximum), float(minimum)
        self._limit = self._maximum
        self._busy = 0
        self._cuts = 0
        self._waiting: list[tuple[Turn, int, asyncio.Future[None]]] = []
        self._arrivals = itertools.count()
        self._limit_gauge = BACKEND_LIMIT.labels(worker, backend)
        self._busy_gauge = BACKEND_BUSY.labels(worker, backend)
        self._show()

    @property
    def limit(self) -> int:
        """How many may be under way now."""
        return int(self._limit)

    @asynccontextmanager
    async def slot(self, patience: float | None = None, turn: Turn = SAME) -> AsyncIterator[Slot]:
        """Wait for a place and hold it; the outcome moves the bound.

        The smallest ``turn`` of those that wait goes first, and of the same the first that came.

        Raises `NoSlot` after ``patience`` seconds without one (None: waits on). That moves nothing,
        since the backend was not asked.
        """
        try:
            async with asyncio.timeout(patience):
                await self._enter(turn)
        except TimeoutError:
            raise NoSlot from None
        slot = Slot(cuts_seen=self._cuts)
        self._show()
        try:
            yield slot
        finally:
            self._learn(slot)
            self._leave()

    async def _enter(self, turn: Turn) -> None:
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (turn, next(self._arrivals), admitted))
        self._admit()
        try:
            await admitted
        except asyncio.CancelledError:
            if not admitted.cancelled():  # it was let in just when it gave up
                self._leave()
            raise

    def _admit(self) -> None:
        """Let in as many as there is room for; who has given up meanwhile takes none."""
        while self._waiting and self._busy < self.limit:
            _, _, admitted = heapq.heappop(self._waiting)
            if not admitted.done():
                admitted.set_result(None)
                self._busy += 1

    def _leave(self) -> None:
        self._busy -= 1
        self._admit()
        self._show()

    def _learn(self, slot: Slot) -> None:
        if not slot.faltered:
            self._limit = min(self._maximum, self._limit + 1 / self._limit)
        elif slot.cuts_seen == self._cuts:
            self._limit = max(self._minimum, self._limit / 2)
            self._cuts += 1

    def _show(self) -> None:
        self._limit_gauge.set(self.limit)
        self._busy_gauge.set(self._busy)


class Limits:
    """One `AdaptiveLimit` per backend, made when first asked for.

    ``backend_of`` names the backend that a command works on: a cloud, or a part of its load.
    """

    def __init__(
        self, worker: str, backend_of: Callable[[Message], str], *, maximum: int = 16
    ) -> None:
        self._worker = worker
        self._backend_of = backend_of
        self._maximum = maximum
        self._limits: dict[str, AdaptiveLimit] = {}

    def of(self, message: Message) -> AdaptiveLimit:
        """Return the bound of the backend that ``message`` works on."""
        backend = self._backend_of(message)
        if backend not in self._limits:
            self._limits[backend] = AdaptiveLimit(self._worker, backend, maximum=self._maximum)
        return self._limits[backend]
