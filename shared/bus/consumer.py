"""Taking deliveries: decode, hand to the handler, settle what failed, and acknowledge.

This is the one place that acknowledges, and it does so last: what the delivery was for is done,
or a copy of it is safe with the broker. A delivery whose channel has gone is just dropped: the
broker delivers it again, then marked as redelivered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from aiormq.abc import DeliveredMessage

from shared.bus import metrics, spans
from shared.bus.connection import BrokerConnection, ChannelGone, ChannelRefused, broker_errors
from shared.bus.delivery import Delivery, Incoming
from shared.bus.errors import PublishFailed, PublishRefused, Unroutable
from shared.bus.subscription import Declare, Subscription
from shared.contract.codec import UndecodableMessage
from shared.runtime.logs import bind_message

Handler = Callable[[Delivery], Awaitable[None]]
#: What to do with a message that failed: makes it safe and returns the outcome's name, or raises
#: `PublishFailed`, `Unroutable`, `PublishRefused` when it could not.
Settle = Callable[[Incoming, BaseException], Awaitable[str]]

#: Seconds before a message whose copy the broker refuses goes back to its queue.
REFUSED_PAUSE = 5.0
_ACK_TIMEOUT = 10.0
_CANCEL_TIMEOUT = 5.0

_log = structlog.get_logger(__name__)


class Consumer:
    """The consumer of one queue: ``prefetch`` handlers at once, or one after the other."""

    def __init__(
        self,
        connection: BrokerConnection,
        queue: str,
        declare: Declare,
        handler: Handler,
        settle: Settle,
        *,
        prefetch: int,
        patience: float,
        in_order: bool = False,
    ) -> None:
        self.queue = queue
        self._connection = connection
        self._handler = handler
        self._settle = settle
        self._order = asyncio.Lock() if in_order else None
        self._in_hand: set[asyncio.Task[None]] = set()
        self._same: dict[str, asyncio.Task[None]] = {}
        self.subscription = Subscription(
            connection, queue, declare, self._receive, prefetch=prefetch, patience=patience
        )

    async def drain(self, timeout: float) -> None:
        """Take no more; wait for the handlers under way for ``timeout`` seconds, then cancel them.

        What is cancelled was not acknowledged, so another replica gets it.
        """
        await self.subscription.stop()
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=timeout)
        for task in tuple(self._in_hand):
            task.cancel()
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=_CANCEL_TIMEOUT)

    async def close(self) -> None:
        """Stop at once; handlers under way are cancelled, and their messages go back."""
        await self.drain(0)
        await self.subscription.close()

    def _receive(self, raw: DeliveredMessage) -> None:
        incoming = Incoming.read(raw, self.queue, self._connection.users)
        task = asyncio.create_task(self._take(raw, incoming), name=f"{self.queue} delivery")
        self._in_hand.add(task)
        metrics.IN_HAND.labels(self.queue).set(len(self._in_hand))
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        metrics.IN_HAND.labels(self.queue).set(len(self._in_hand))
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("delivery not settled", queue=self.queue, exc_info=error)

    async def _take(self, raw: DeliveredMessage, incoming: Incoming) -> None:
        if self._order is None:
            await self._handle_and_ack(raw, incoming)
        else:
            async with self._order:
                await self._handle_and_ack(raw, incoming)

    async def _handle_and_ack(self, raw: DeliveredMessage, incoming: Incoming) -> None:
        try:
            delivery = incoming.decode()
        except UndecodableMessage as error:
            return await self._settle_and_ack(raw, incoming, error)
        bind_message(delivery.envelope)
        with spans.processing(delivery) as span:
            failure = await self._handle(delivery)
            if failure is not None:
                span.fail(type(failure).__name__)
            await self._settle_and_ack(raw, incoming, failure)

    async def _settle_and_ack(
        self, raw: DeliveredMessage, incoming: Incoming, failure: BaseException | None
    ) -> None:
        outcome = "acked"
        if failure is not None:
            outcome = await self._make_safe(raw, incoming, failure)
        if outcome != "dropped" and not await _acknowledge(raw, requeue=outcome == "returned"):
            outcome = "dropped"
        metrics.CONSUMED.labels(self.queue, outcome).inc()

    async def _handle(self, delivery: Delivery) -> BaseException | None:
        await self._former(delivery)
        began = time.perf_counter()
        # Whatever a handler raises is an outcome here, to be told apart by the settlement.
        [failure] = await asyncio.gather(_run(self._handler, delivery), return_exceptions=True)
        metrics.HANDLER_SECONDS.labels(self.queue).observe(time.perf_counter() - began)
        return failure

    async def _former(self, delivery: Delivery) -> None:
        """Wait for an earlier delivery of the same message that this process still works on.

        After a lost connection the broker redelivers what is still in hand here.
        """
        key = f"{delivery.envelope.tenant}/{delivery.envelope.source}/{delivery.envelope.id}"
        mine = asyncio.current_task()
        assert mine is not None, "runs in a task"
        former = self._same.get(key)
        self._same[key] = mine
        mine.add_done_callback(lambda _: self._same.get(key) is mine and self._same.pop(key))
        if former is not None and not former.done():
            await asyncio.wait([former])

    async def _make_safe(
        self, raw: DeliveredMessage, incoming: Incoming, failure: BaseException
    ) -> str:
        while not raw.channel.is_closed:
            try:
                return await self._settle(incoming, failure)
            except PublishFailed as error:
                _log.warning("copy not confirmed, trying again", error=error.detail)
            except (Unroutable, PublishRefused) as error:
                _log.error("copy refused, message goes back to its queue", error=error.detail)
                await asyncio.sleep(REFUSED_PAUSE)
                return "returned"
        return "dropped"


async def _run(handler: Handler, delivery: Delivery) -> None:
    await handler(delivery)


async def _acknowledge(raw: DeliveredMessage, *, requeue: bool) -> bool:
    """Acknowledge, or give back with ``requeue``; False when the channel has gone."""
    tag = raw.delivery_tag
    assert tag is not None, "delivered, not returned"
    try:
        async with asyncio.timeout(_ACK_TIMEOUT), broker_errors():
            if requeue:
                await raw.channel.basic_nack(tag, requeue=True, wait=False)
            else:
                await raw.channel.basic_ack(tag, wait=False)
    except (ChannelGone, ChannelRefused, TimeoutError) as error:
        _log.info("delivery dropped, the broker has it again", error=str(error))
        return False
    return True
