"""What other systems tell over a broker of their own: taken while it lasts, missed without harm.

OpenStack's services publish their notifications (oslo.messaging's ``messagingv2``) to topic
exchanges of their own broker. All replicas of ours share one queue there, of which the broker
lets one consume at a time and the next one when it goes (single active consumer): nothing is
worked on twice, the order is kept, and whoever consumes has seen what came before. The queue is
bounded by length and age and goes when nobody has wanted it for a while.

The other system may be away, restarted or set up anew at any time; nothing here ever fails for it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

import aiormq
import structlog
from aiormq.abc import DeliveredMessage, FieldTable

from shared.bus import metrics
from shared.bus.connection import (
    ANYBODY_KNOWN,
    BrokerConnection,
    ChannelGone,
    ChannelRefused,
    broker_errors,
    pauses,
)
from shared.bus.errors import ConsumerLost, TopologyMissing
from shared.bus.subscription import Declare, Subscription
from shared.contract.topology import Binding
from shared.runtime.errors import TemporaryError
from shared.runtime.tls import Trust

#: Handles what has come together, oldest first. A `TemporaryError` has it called again.
BatchHandler = Callable[[Sequence[bytes]], Awaitable[None]]
#: Told when notifications begin and cease to reach this process' consumer.
Changed = Callable[[bool], None]

#: What is older or more than that is of no use any more: inspections have seen it.
_ARGUMENTS: FieldTable = {
    "x-single-active-consumer": True,
    "x-max-length": 20_000,
    "x-overflow": "drop-head",
    "x-message-ttl": 10 * 60_000,
    "x-expires": 30 * 60_000,
}
_PREFETCH = 256
_ACK_TIMEOUT = 10.0
#: How often the queue is bound anew, in seconds: bindings go with an exchange that was deleted,
#: and nothing tells us.
REBIND_SECONDS = 30.0

_log = structlog.get_logger(__name__)


class Notifications:
    """The notifications of one cloud: ``run`` takes them for ever."""

    def __init__(
        self,
        urls: Sequence[str],
        handler: BatchHandler,
        changed: Changed,
        *,
        cloud: str,
        name: str,
        queue: str,
        bindings: Sequence[Binding],
        trust: Trust = ANYBODY_KNOWN,
        rebind_seconds: float = REBIND_SECONDS,
    ) -> None:
        """Raises `ConfigurationError` when a URL or ``trust`` can't be used.

        ``name`` is the service's, ``cloud`` for metrics.
        """
        trust.context()
        self._handler = handler
        self._rebind_seconds = rebind_seconds
        self._queue = queue
        self._declare = shared_queue(queue, bindings)
        self._arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        connected = metrics.NOTIFICATIONS_CONNECTED.labels(cloud)
        self._connection = BrokerConnection(urls, name, connected=connected, trust=trust)
        self._subscription = Subscription(
            self._connection,
            queue,
            self._declare,
            self._arrived.put_nowait,
            prefetch=_PREFETCH,
            patience=math.inf,
            changed=changed,
        )

    async def run(self) -> NoReturn:
        """Consume, over every outage, until cancelled."""
        self._connection.begin()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._subscribe())
                tasks.create_task(self._rebind())
                await self._take()
        finally:
            await self._subscription.close()
            await self._connection.close()
        raise AssertionError("takes for ever")

    async def _subscribe(self) -> None:
        known = ""
        async for _ in pauses():
            try:
                await self._subscription.start()
                break
            except (ConsumerLost, TopologyMissing) as error:
                if str(error) != known:
                    known = str(error)
                    _log.warning("notifications refused", queue=self._queue, error=known)
        assert self._subscription.task is not None, "started"
        await self._subscription.task  # a fault of ours in there is not to go unseen

    async def _take(self) -> None:
        while True:
            batch = [await self._arrived.get()]
            while not self._arrived.empty() and len(batch) < _PREFETCH:
                batch.append(self._arrived.get_nowait())
            living = [raw for raw in batch if not raw.channel.is_closed]
            if living:
                await self._handle([raw.body for raw in living])
                await _acknowledge(living[-1])

    async def _handle(self, bodies: Sequence[bytes]) -> None:
        """Hand the batch on; a fault of ours costs it, but never the process."""
        async for _ in pauses():
            outcome = await asyncio.gather(self._handler(bodies), return_exceptions=True)
            if not isinstance(outcome[0], TemporaryError):
                break
            _log.warning("notifications wait", queue=self._queue, error=str(outcome[0]))
        if isinstance(outcome[0], BaseException):
            _log.error("notifications not handled", queue=self._queue, exc_info=outcome[0])

    async def _rebind(self) -> NoReturn:
        while True:
            await asyncio.sleep(self._rebind_seconds)
            session = self._connection.current
            if session is None or not self._subscription.attached:
                continue
            try:
                async with asyncio.timeout(_ACK_TIMEOUT), broker_errors():
                    channel = await session.channel()
                    await self._declare(channel)
                    await channel.close()
            except (ChannelGone, ChannelRefused, TimeoutError) as error:
                _log.warning("notifications not bound anew", queue=self._queue, error=str(error))


def shared_queue(name: str, bindings: Sequence[Binding]) -> Declare:
    """Declare the queue and what it is bound to, where that isn't there yet."""

    async def declare(channel: aiormq.Channel) -> str:
        for exchange in dict.fromkeys(binding.exchange for binding in bindings):
            await _have_exchange(channel, exchange)
        await channel.queue_declare(name, durable=True, arguments=_ARGUMENTS)
        for binding in bindings:
            await channel.queue_bind(name, binding.exchange, routing_key=binding.key)
        return name

    return declare


async def _have_exchange(channel: aiormq.Channel, exchange: str) -> None:
    """Make the exchange as oslo.messaging does by default, when it is not there in any form.

    It is asked for first, on a channel of its own (the broker closes it when there is none): that
    needs no permission to configure, and it may have been made durable.
    """
    probe = await channel.connection.channel(publisher_confirms=False)
    try:
        await probe.exchange_declare(exchange, passive=True)
        await probe.close()
    except aiormq.ChannelNotFoundEntity:
        await channel.exchange_declare(
            exchange, exchange_type="topic", durable=False, auto_delete=False
        )


async def _acknowledge(last: DeliveredMessage) -> None:
    """Acknowledge all up to ``last``; when the channel has gone, the broker has them again."""
    assert last.delivery_tag is not None, "delivered, not returned"
    try:
        async with asyncio.timeout(_ACK_TIMEOUT), broker_errors():
            await last.channel.basic_ack(last.delivery_tag, multiple=True, wait=False)
    except (ChannelGone, ChannelRefused, TimeoutError) as error:
        _log.info("notifications come again", error=str(error))
