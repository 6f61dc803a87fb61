"""What all looks at API servers share, so that none holds up those at others for long."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.k8s_worker.backend import Project

#: How many looks are under way, altogether and for one tenant on a cloud.
AT_ONCE, OF_A_PROJECT = 50, 8
#: How long is waited for one that did not answer the last time, in seconds.
SHORT = 1.0
#: Who has kept us waiting is left alone for so many times as long, and so many seconds at most: so
#: half of its time it takes no place, and a second silence is seen soon after the first.
_AS_LONG, _LONGEST = 1.0, 30.0
#: How long after that it is remembered, in seconds: it may not be there any more.
_KEPT = 600.0


class NotYet(Exception):
    """It is not known yet what an API server says: neither that it answers nor that it doesn't."""


class Silences:
    """Which servers did not answer the last time, and until when they are left alone.

    Who refuses at once costs nothing, and is asked again as soon as anybody wants. ``clock`` tells
    seconds, and never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def note(self, cluster_id: str, took: float) -> None:
        """It did not answer, and has taken so many seconds."""
        now = self._clock()
        self._until = {one: until for one, until in self._until.items() if now < until + _KEPT}
        self._until[cluster_id] = now + min(took * _AS_LONG, _LONGEST)

    def over(self, cluster_id: str) -> None:
        """It has answered, or is not there any more."""
        self._until.pop(cluster_id, None)

    def __contains__(self, cluster_id: str) -> bool:
        return cluster_id in self._until

    def rests(self, cluster_id: str) -> bool:
        """Tell whether it is left alone now."""
        return self._clock() < self._until.get(cluster_id, 0.0)


class Places:
    """Room for looks; no tenant takes all of it, however many silent clusters it has."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(AT_ONCE)
        self._of: defaultdict[tuple[str, str], asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(OF_A_PROJECT)
        )

    @asynccontextmanager
    async def hold(self, project: Project) -> AsyncIterator[None]:
        """Wait for a place, and hold it."""
        async with self._of[project.cloud, project.tenant], self._all:
            yield
