"""One consumer on one queue, re-made whenever it is gone: the watchdog.

It goes with its connection, with its channel (the broker closes it on an error or after its own
acknowledgement timeout), or alone (the queue was deleted, or moved to another node).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiormq
import structlog
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from shared.bus import metrics
from shared.bus.connection import (
    BrokerConnection,
    ChannelGone,
    ChannelRefused,
    Session,
    broker_errors,
    pauses,
)
from shared.bus.errors import ConsumerLost, TopologyMissing

#: Seconds that one step of making a consumer may take.
_STEP = 15.0

Receive = Callable[[DeliveredMessage], None]
#: Declares what has to be declared on a fresh channel, and returns the queue's name.
Declare = Callable[[aiormq.Channel], Awaitable[str]]

_log = structlog.get_logger(__name__)


class Subscription:
    """Keeps a consumer made. ``label`` names it in logs and metrics.

    ``changed`` is told when the broker begins (True) and ceases (False) to deliver to us.
    """

    def __init__(
        self,
        connection: BrokerConnection,
        label: str,
        declare: Declare,
        receive: Receive,
        *,
        prefetch: int,
        patience: float,
        changed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._connection = connection
        self._label = label
        self._declare = declare
        self._receive = receive
        self._prefetch = prefetch
        self._patience = patience
        self._changed = changed
        self._channel: aiormq.Channel | None = None
        self._tag: str | None = None
        self._gone = asyncio.Event()
        self._stopped = False
        self.task: asyncio.Task[None] | None = None

    @property
    def attached(self) -> bool:
        """Whether the broker delivers to us now."""
        return self._tag is not None and not self._gone.is_set()

    async def start(self) -> None:
        """Make the consumer for the first time, waiting for a connection.

        Raises `TopologyMissing` when there is no such queue, `ConsumerLost` when it is refused.
        """
        async for _ in pauses():
            session = await self._connection.session()
            try:
                await self._attach(session)
                break
            except ChannelRefused as error:
                if error.not_found:
                    raise TopologyMissing([str(error)]) from error
                raise ConsumerLost(f"{self._label}: {error}") from error
            except (ChannelGone, TimeoutError) as error:
                _log.warning("consumer not made yet", queue=self._label, error=str(error))
        self.task = asyncio.create_task(self._keep_attached(session), name=f"bus {self._label}")

    async def stop(self) -> None:
        """Take no more deliveries; what is in hand can still be acknowledged."""
        self._stopped = True
        channel, tag, self._tag = self._channel, self._tag, None
        if channel is None or tag is None or channel.is_closed:
            return
        try:
            async with asyncio.timeout(_STEP), broker_errors():
                await channel.basic_cancel(tag)
        except (ChannelGone, ChannelRefused, TimeoutError) as error:
            _log.debug("consumer went before it was cancelled", queue=self._label, error=str(error))

    async def close(self) -> None:
        """Stop, and give what is unacknowledged back to the broker."""
        await self.stop()
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
        await self._close_channel()

    async def _keep_attached(self, session: Session) -> None:
        while True:
            await self._until_gone()
            if self._stopped:
                return
            self._tag = None
            self._changed(False)
            _log.warning("consumer lost", queue=self._label, connected=session.alive)
            session = await self._reattach()
            metrics.CONSUMERS_REMADE.labels(self._label).inc()
            _log.info("consumer made again", queue=self._label)

    async def _until_gone(self) -> None:
        """Wait until the consumer is gone: cancelled, or with its channel or connection."""
        channel = self._channel
        assert channel is not None, "attached"
        cancelled = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait([cancelled, channel.closing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            cancelled.cancel()
        self._gone.set()

    async def _reattach(self) -> Session:
        """Make the consumer again; only time with a connection counts against the patience."""
        loop = asyncio.get_running_loop()
        since, known = loop.time(), None
        async for _ in pauses():
            session = await self._connection.session()
            if session is not known:
                since, known = loop.time(), session
            try:
                await self._close_channel()
                await self._attach(session)
            except (ChannelGone, ChannelRefused, TimeoutError) as error:
                if session.alive and loop.time() - since > self._patience:
                    raise ConsumerLost(
                        f"{self._label}: not consuming for {self._patience:g} s: {error}"
                    ) from error
            else:
                return session
        raise AssertionError("pauses never end")

    async def _attach(self, session: Session) -> None:
        channel = await session.channel()
        self._channel, gone = channel, asyncio.Event()

        def cancelled(_: Basic.CancelOk | Basic.Cancel) -> None:
            gone.set()

        channel.on_consumer_cancel_callbacks.add(cancelled)
        async with asyncio.timeout(_STEP), broker_errors():
            queue = await self._declare(channel)
            await channel.basic_qos(prefetch_count=self._prefetch)
            answer = await channel.basic_consume(queue, self._deliver)
        self._gone, self._tag = gone, answer.consumer_tag
        self._changed(True)

    async def _deliver(self, raw: DeliveredMessage) -> None:
        if not self._stopped:  # else it stays unacknowledged, and goes back to the broker
            self._receive(raw)

    async def _close_channel(self) -> None:
        channel, self._channel = self._channel, None
        if channel is None or channel.is_closed:
            return
        try:
            async with asyncio.timeout(_STEP), broker_errors():
                await channel.close()
        except (ChannelGone, ChannelRefused, TimeoutError) as error:
            _log.debug("channel closed uncleanly", queue=self._label, error=str(error))


def existing(queue: str) -> Declare:
    """Declare nothing: ``queue`` is there, or consuming it says that it isn't."""

    async def declare(_: aiormq.Channel) -> str:
        return queue

    return declare
