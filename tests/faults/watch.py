"""What is looked at all the while that a burst is played: how many servers, and who answers."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import aiohttp

from tests.faults.evidence import OUT
from tests.faults.facts import Held
from tests.support.conditions import eventually, meanwhile

#: How long the cloud may be out at the end of a watch, in seconds.
LAST_LOOK = 120


class Watch:
    """Looks at the cloud all the while: how many servers there are beyond one per VM.

    ``held`` asks the cloud, in a thread; while the cloud is out it can't be asked. Whoever relies
    on what was seen has to look at ``blind`` too.
    """

    def __init__(self, held: Callable[[], Iterable[Held]]) -> None:
        self._held = held
        self._begun = time.monotonic()
        self._looks: list[tuple[float, int]] = []

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Look about once a second, and once more at the end: that look must succeed."""
        self._begun = time.monotonic()
        async with meanwhile(self._go_on()):
            yield
        await eventually(self._look, within=LAST_LOOK, what="the cloud can be asked")

    @property
    def most(self) -> int:
        """The most there were at once."""
        return max((extra for _, extra in self._looks), default=0)

    @property
    def now(self) -> int:
        """How many there were at the last look."""
        return self._looks[-1][1]

    @property
    def seconds(self) -> float:
        """How long the watch was."""
        return self._looks[-1][0] - self._begun

    @property
    def blind(self) -> float:
        """The longest time between two looks that have seen something, in seconds."""
        at = [self._begun, *(moment for moment, _ in self._looks)]
        return max(later - earlier for earlier, later in itertools.pairwise(at))

    @property
    def doubled(self) -> float:
        """For how long there were any."""
        at = [moment for moment, extra in self._looks if extra]
        return at[-1] - at[0] + 1 if at else 0.0

    async def _go_on(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(1)

    async def _look(self) -> bool:
        """Look once; tell whether that was possible."""
        try:
            held = await asyncio.to_thread(self._held)
        except OUT:
            return False
        servers = Counter(one.resource_id for one in held if one.what == "server")
        self._looks.append((time.monotonic(), servers.total() - len(servers)))
        return True


class Pause:
    """Asks the front doors all the time, and notes how long there was no answer."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token
        self._over = 0.0
        self._answered = self._until = time.monotonic()

    @property
    def longest(self) -> float:
        """The longest time without an answer, in seconds; one that isn't over counts as well."""
        return max(self._over, self._until - self._answered)

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        """Ask some ten times a second, each time on a connection of its own."""
        self._answered = self._until = time.monotonic()
        try:
            async with meanwhile(self._ask()):
                yield
        finally:
            self._until = time.monotonic()

    async def _ask(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        timeout = aiohttp.ClientTimeout(total=5)
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with (
                    aiohttp.ClientSession(timeout=timeout) as session,
                    session.get(self._url, headers=headers) as answer,
                ):
                    if answer.status == 200:
                        now = time.monotonic()
                        self._over = max(self._over, now - self._answered)
                        self._answered = now
            await asyncio.sleep(0.1)
