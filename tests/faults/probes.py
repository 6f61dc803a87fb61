"""The whole way of a write, all the while: from front door or broker to the ledger, and back.

Each request is one more than its tenant may hold (`PROBER`), so that a round of admission ends it,
and its status tells that. Nothing is made, and nothing is to be tidied away.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from colobus.client import Client
from colobus.models import CreateVm, Phase, Reason
from tests.faults.plan import PROBER
from tests.faults.watch import Pause
from tests.support.ci import ONE_TRY, SPEC, CiSystem, accepted, until_done
from tests.support.conditions import meanwhile

#: Between two requests of one way, in seconds.
INTERVAL = 1.0
#: How long what is still on its way at the end may take to be told, in seconds: then it is lost.
LAST_NEWS = 90.0

Ask = Callable[[str], Awaitable[None]]
"""Sends one request under this key, as often as it takes; returns when its sender was told."""


@dataclass
class Passages:
    """When each request was sent, and when its sender was told of its end. Pure.

    All times are in seconds of one clock; ``until`` is when nobody waited any more. ``held``: from
    when to when none was sent, nor on its way.
    """

    begun: float
    sent: dict[str, float] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)
    until: float = 0
    held: list[tuple[float, float]] = field(default_factory=list)

    @property
    def lost(self) -> list[str]:
        """The requests of which nothing was ever told."""
        return sorted(self.sent.keys() - self.told.keys())

    @property
    def slowest(self) -> float:
        """The longest time from sending until it was told; for what is lost, until the end."""
        return max(
            (self.told.get(one, self.until) - at for one, at in self.sent.items()), default=0
        )

    @property
    def silence(self) -> float:
        """The longest time in which none was told, but for when none was sent."""
        at = sorted([self.begun, *self.told.values(), *itertools.chain(*self.held), self.until])
        pauses = [pause for pause in itertools.pairwise(at) if pause not in self.held]
        return max((later - earlier for earlier, later in pauses), default=0)

    def wrong(self, bound: float) -> Iterator[str]:
        """Yield what is too long, lost, or was never tried."""
        if not self.sent:
            yield "none was ever sent"
        if self.lost:
            yield f"{len(self.lost)} of {len(self.sent)} were never told of: {self.lost}"
        if self.slowest >= bound:
            yield f"one took {self.slowest:.1f} s"
        if self.silence >= bound:
            yield f"for {self.silence:.1f} s none came through"

    def __str__(self) -> str:
        told = f"{len(self.told)} of {len(self.sent)} told"
        return f"{self.slowest:.1f} s at most, none came for {self.silence:.1f} s ({told})"


class Probe:
    """Sends a request about once a second, whatever becomes of those before it."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._on_their_way: set[asyncio.Task[None]] = set()
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self.passages = Passages(time.monotonic())

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        """Send all the while; at the end wait for those that are on their way.

        Raises what a requester raised, such as `AssertionError` for another answer than the one
        there is to be.
        """
        passages = self.passages = Passages(time.monotonic())
        try:
            async with meanwhile(self._go_on()):
                yield
            await self._last_news()
        finally:
            passages.until = time.monotonic()
            for task in self._on_their_way:
                task.cancel()
            results = await asyncio.gather(*self._on_their_way, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Wait for those that are on their way, and send none until the end."""
        self._goes_on.clear()
        try:
            await self._last_news()
            since = time.monotonic()
            try:
                yield
            finally:
                self.passages.held.append((since, time.monotonic()))
        finally:
            self._goes_on.set()

    async def _last_news(self) -> None:
        if self._on_their_way:
            await asyncio.wait(self._on_their_way, timeout=LAST_NEWS)

    async def _go_on(self) -> None:
        while True:
            await self._goes_on.wait()
            self._on_their_way.add(asyncio.create_task(self._send(str(uuid.uuid4()))))
            await asyncio.sleep(INTERVAL)

    async def _send(self, key: str) -> None:
        self.passages.sent[key] = time.monotonic()
        await self._ask(key)
        self.passages.told[key] = time.monotonic()


def by_http(client: Client) -> Ask:
    """Return how it is asked for at a front door, which holds its answer until all is decided."""
    body = msgspec.convert(SPEC, CreateVm)

    async def ask(key: str) -> None:
        phase, reason = Phase.REQUESTED, None
        while phase in {Phase.REQUESTED, Phase.WAITING}:
            shown = await client.create(body, idempotency_key=key, wait=ONE_TRY)
            phase, reason = shown.status.phase, shown.status.reason
        _check(phase, reason)

    return ask


def by_bus(urls: Sequence[str]) -> Ask:
    """Return how it is asked for as a CI job would, by a connection of its own, to each in turn."""
    turn = itertools.count()

    async def ask(key: str) -> None:
        first = next(turn) % len(urls)

        async def ask_and_follow(ci: CiSystem) -> None:
            event = {"verb": "create", "kind": "vm", "spec": SPEC}
            shown = accepted(await ci.ask(event, id=key, source="/ci/prober"))
            if shown["status"]["phase"] != Phase.FAILED:
                shown = await ci.until(shown["id"], Phase.FAILED)
            _check(shown["status"]["phase"], shown["status"].get("reason"))

        await until_done(PROBER, [*urls[first:], *urls[:first]], ask_and_follow)

    return ask


def _check(phase: str, reason: str | None) -> None:
    ends = (Phase.FAILED, Reason.QUOTA_EXCEEDED)
    assert (phase, reason) == ends, f"the prober's request ended as {phase} for {reason}"


@dataclass
class Ways:
    """All that is asked for meanwhile: reads of the front doors, and writes by HTTP and by bus."""

    reads: Pause
    writes: Probe
    bus: Probe

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Have no write on its way: no figure of a queue says whose messages are in it."""
        async with self.writes.quiet(), self.bus.quiet():
            yield

    def wrong(self, bound: float) -> list[str]:
        """Return where there was a pause of ``bound`` seconds, or something was lost."""
        found = [f"by HTTP: {line}" for line in self.writes.passages.wrong(bound)]
        found += [f"by bus: {line}" for line in self.bus.passages.wrong(bound)]
        if self.reads.longest >= bound:
            found.append(f"no answer to reads for {self.reads.longest:.1f} s")
        return found

    def __str__(self) -> str:
        return (
            f"no answer to reads for {self.reads.longest:.1f} s at most; "
            f"a write by HTTP took {self.writes.passages}, by bus {self.bus.passages}"
        )


@asynccontextmanager
async def all_ways(
    url: str, tokens: Mapping[str, str], amqp_urls: Sequence[str]
) -> AsyncIterator[Ways]:
    """Ask all the while; whoever looks at what was measured does so afterwards.

    Args:
        url: The front doors.
        tokens: {tenant: its token}; the prober is one.
        amqp_urls: The brokers, as the prober's own user.
    """
    async with AsyncExitStack() as stack:
        # It never gives up: how long a request may take is for the judgement to say.
        client = Client(url, token=tokens[PROBER], retry_for=3600, timeout=ONE_TRY)
        await stack.enter_async_context(client)
        ways = Ways(
            Pause(f"{url}/v1/vms?limit=1", tokens[PROBER]),
            Probe(by_http(client)),
            Probe(by_bus(amqp_urls)),
        )
        for one in (ways.reads, ways.writes, ways.bus):
            await stack.enter_async_context(one.measuring())
        yield ways
