"""The connection to one of several brokers, re-made for as long as it takes.

aio-pika's own ``connect_robust`` retries one URL only and fails publishers at once while it is
disconnected; so the loop is ours, over aiormq, which is aio-pika's protocol layer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from itertools import count
from types import TracebackType

import aiormq
import structlog
from prometheus_client import Gauge
from yarl import URL

from shared.bus import lenient, metrics
from shared.bus.addresses import checked
from shared.bus.errors import BusUnavailable
from shared.runtime.errors import ConfigurationError
from shared.runtime.tls import Trust

#: Seconds that one broker may take to accept a connection.
CONNECT_TIMEOUT = 10.0
#: Seconds in which all channels of a lost connection are told of it.
_NOTICING = 2.0
#: Who vouches for a broker at ``amqps://`` when nothing else is said: whom the system trusts.
ANYBODY_KNOWN = Trust()
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0

_log = structlog.get_logger(__name__)
_random = random.SystemRandom()


class ChannelGone(Exception):
    """The connection or channel went during a call, which may or may not have had effect."""


class ChannelRefused(Exception):
    """The broker closed the channel because of something done on it; the text is the broker's."""

    def __init__(self, error: aiormq.AMQPChannelError) -> None:
        super().__init__(" ".join(str(arg) for arg in error.args if arg))
        self.not_found = isinstance(error, aiormq.ChannelNotFoundEntity)


class broker_errors:  # noqa: N801 - it reads as what it is about
    """Turn all that aiormq raises when a connection or channel goes into one of two errors.

    That may be a plain Exception, or even a CancelledError that nobody asked for: aiormq hands
    the reason of the closing, whatever it is, to all calls under way. And of a cancellation that
    was asked for it may make something else, or nothing; that one goes on as what it is.
    """

    __slots__ = ("_cancellations",)

    def __init__(self) -> None:
        self._cancellations = _cancellations()

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        if _cancellations() > self._cancellations:  # not one of before, after which we clean up
            if isinstance(error, asyncio.CancelledError):
                return
            raise asyncio.CancelledError from error
        if error is None or isinstance(error, _KNOWN):
            return
        if isinstance(error, asyncio.CancelledError):
            raise ChannelGone("the connection was closed") from error
        if isinstance(error, aiormq.AMQPChannelError):
            if type(error) is aiormq.ChannelClosed and not any(error.args):
                raise ChannelGone("the channel was closed") from error  # by ourselves
            raise ChannelRefused(error) from error
        if isinstance(error, Exception):
            raise ChannelGone(f"{type(error).__name__}: {error}") from error


def _cancellations() -> int:
    """Return how often our task was asked to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


#: What goes through `broker_errors` as it is.
_KNOWN = (ChannelGone, ChannelRefused, aiormq.DeliveryError, ValueError, TypeError)


async def pauses() -> AsyncIterator[None]:
    """Wait longer and longer between tries, with jitter: 0.1 s doubling to 5 s."""
    for attempt in count():
        yield
        await asyncio.sleep(pause_after(attempt))


def pause_after(attempt: int) -> float:
    """How long to wait after the try of this number, from 0; see `pauses`."""
    longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt, 10))
    return longest * _random.uniform(0.5, 1)


class Session:
    """One connection to one broker, from its making to its loss."""

    def __init__(self, connection: aiormq.Connection, broker: str) -> None:
        self._connection = connection
        self.broker = broker
        self.user = connection.url.user or "guest"

    @property
    def alive(self) -> bool:
        """Whether the connection still stands, as far as one can tell."""
        return self._connection.is_opened

    async def channel(self, *, confirms: bool = False) -> aiormq.Channel:
        """Open a channel; raises `ChannelGone`."""
        async with broker_errors():
            channel = await self._connection.channel(
                publisher_confirms=confirms, timeout=CONNECT_TIMEOUT
            )
        assert isinstance(channel, aiormq.Channel), "the only implementation there is"
        return channel

    async def lost(self) -> None:
        """Wait for the end of the connection."""
        await asyncio.wait([self._connection.closing])

    async def swallow(self) -> None:
        """Take what is still being written to the lost connection, until all have noticed.

        aiormq's writer has ended, and whoever waits for a place in its queue would wait for ever.
        """
        try:
            async with asyncio.timeout(_NOTICING):
                while True:
                    await self._connection.write_queue.get()
        except TimeoutError:
            return

    async def close(self) -> None:
        """Close the connection in good order, within some seconds."""
        await asyncio.wait([asyncio.ensure_future(self._connection.close())], timeout=5)


class BrokerConnection:
    """Keeps one session alive, going through the URLs in turn."""

    def __init__(
        self,
        urls: Sequence[str],
        name: str,
        *,
        connected: Gauge = metrics.CONNECTED,
        trust: Trust = ANYBODY_KNOWN,
    ) -> None:
        if not urls:
            raise ConfigurationError("no broker URL given")
        self._urls = [checked(url) for url in urls]
        if trust and any(url.scheme != "amqps" for url in self._urls):
            raise ConfigurationError("certificates are given, but a broker URL is not amqps://")
        self._trust = trust
        self._name = name
        self._connected = connected
        self._session: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        self._last_error = "not tried yet"
        self.users = frozenset(url.user or "guest" for url in self._urls)
        self._swallowing: set[asyncio.Task[None]] = set()
        self.task: asyncio.Task[None] | None = None

    async def start(self, timeout: float) -> None:
        """Connect, trying all brokers for ``timeout`` seconds; raises `BusUnavailable`.

        Files that can't be used at the start raise `ConfigurationError`; later ones are told.
        """
        self._trust.context()
        self.begin()
        try:
            async with asyncio.timeout(timeout):
                await self.session()
        except TimeoutError as error:
            await self.close()
            raise BusUnavailable(f"no broker in {timeout:g} s: {self._last_error}") from error

    def begin(self) -> None:
        """Connect in the background, for as long as it takes."""
        lenient.install()
        self.task = asyncio.create_task(self._keep_connected(), name="bus connection")

    @property
    def current(self) -> Session | None:
        """The session, while there is a live one."""
        if self._session.done() and not self._session.exception():
            session = self._session.result()
            return session if session.alive else None
        return None

    async def session(self) -> Session:
        """Wait for a live session (the caller bounds it); raises `BusUnavailable` once closed."""
        if (current := self.current) is not None:
            return current
        while True:
            session = await asyncio.shield(self._session)
            if session.alive:
                return session
            await asyncio.sleep(0.01)  # the loop below is about to notice

    async def close(self) -> None:
        """Close for good."""
        session = self.current
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
        if session is not None:
            await session.close()
        if self._session.done():
            self._session = asyncio.get_running_loop().create_future()
        self._session.set_exception(BusUnavailable("the bus is closed"))
        self._session.exception()  # seen, whether or not anybody waits
        self._connected.set(0)

    async def _keep_connected(self) -> None:
        turn = 0
        while True:
            session, turn = await self._connect(turn)
            metrics.CONNECTS.inc()
            self._connected.set(1)
            _log.info("connected to broker", broker=session.broker, user=session.user)
            self._session.set_result(session)
            await session.lost()
            self._session = asyncio.get_running_loop().create_future()
            self._connected.set(0)
            swallowing = asyncio.create_task(session.swallow())
            self._swallowing.add(swallowing)
            swallowing.add_done_callback(self._swallowing.discard)
            _log.warning("connection to broker lost", broker=session.broker)

    async def _connect(self, turn: int) -> tuple[Session, int]:
        """Try the brokers in turn, beginning with ``turn``; a pause follows each full round."""
        async for _ in pauses():
            for position in range(turn, turn + len(self._urls)):
                url = self._urls[position % len(self._urls)]
                session = await self._try(url)
                if session is not None:
                    return session, position % len(self._urls)
        raise AssertionError("pauses never end")

    async def _try(self, url: URL) -> Session | None:
        broker = f"{url.host}:{url.port or url.scheme}{url.path}"
        try:
            context = self._trust.context() if self._trust else None
            connection = aiormq.Connection(
                url, client_properties={"connection_name": self._name}, context=context
            )
            async with asyncio.timeout(CONNECT_TIMEOUT), broker_errors():
                await connection.connect()
        except (ChannelGone, ValueError, TypeError, TimeoutError, ConfigurationError) as error:
            self._last_error = f"{broker}: {error or 'no answer'}"
            _log.warning("broker not available", broker=broker, error=str(error) or "no answer")
            return None
        return Session(connection, broker)
