"""`Bus`: all that the rest of Colobus knows of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from shared.bus import spans
from shared.bus.answers import QueryHandler, QueryServer, Refusals, RefusalServer
from shared.bus.connection import (
    ANYBODY_KNOWN,
    BrokerConnection,
    ChannelGone,
    ChannelRefused,
    broker_errors,
)
from shared.bus.consumer import Consumer, Handler, Settle
from shared.bus.delivery import REPEATED, Delivery
from shared.bus.errors import FORBIDDEN, BusUnavailable, RejectedMessage, TopologyMissing
from shared.bus.live import let_go, live_queue
from shared.bus.publisher import Publication, Publisher
from shared.bus.queries import QueryClient
from shared.bus.replies import Replies
from shared.bus.settlement import Settlement
from shared.bus.subscription import existing
from shared.contract import topology
from shared.contract.codec import Envelope
from shared.contract.messages import Message
from shared.contract.outgoing import OutgoingMessage
from shared.contract.topology import TOPOLOGY, Binding
from shared.runtime.tls import Trust

#: Seconds that a consumer may be missing while a broker is there, and that the first connection
#: may take, before the process had better be started anew.
PATIENCE = 60.0
_QUERIES_PREFETCH = 32
_LIVE_PREFETCH = 256


class Bus:
    """One connection to one of the brokers, and all channels and consumers of this process."""

    def __init__(self, connection: BrokerConnection, *, name: str, patience: float) -> None:
        self._connection = connection
        self._name = name
        self._patience = patience
        self._publisher = Publisher(connection, name)
        self._settlement = Settlement(self._publisher)
        self._replies = Replies(self._publisher, name)
        self._queries = QueryClient(connection, name)
        self._consumers: list[Consumer] = []
        self._news = asyncio.Event()

    @classmethod
    async def connect(
        cls,
        urls: Sequence[str],
        *,
        name: str,
        patience: float = PATIENCE,
        trust: Trust = ANYBODY_KNOWN,
    ) -> Bus:
        """Connect to the first broker that answers.

        ``name`` is the service's name; ``patience`` (seconds) see `PATIENCE`; ``trust`` is for
        ``amqps://``. Raises `BusUnavailable` when none answers in time, `ConfigurationError` for
        a bad URL or file.
        """
        connection = BrokerConnection(urls, name, trust=trust)
        await connection.start(patience)
        return cls(connection, name=name, patience=patience)

    async def publish(
        self, message: OutgoingMessage, *, repeated: bool = False, timeout: float = 15
    ) -> None:
        """Publish persistently and wait for the broker's confirm, over reconnects.

        ``repeated``: the message may have been published before. Raises `PublishFailed` when it
        is unconfirmed after ``timeout`` seconds, `Unroutable` when no queue takes it,
        `PublishRefused` when this user may not publish it.
        """
        publication = Publication(
            exchange=message.exchange,
            routing_key=message.routing_key,
            body=message.body,
            message_id=message.id,
            type=message.type,
            headers={REPEATED: True} if repeated else {},
        )
        with spans.sending(message):
            await self._publisher.publish(publication, timeout=timeout)

    async def consume(
        self,
        queue: str,
        handler: Handler,
        *,
        prefetch: int = 64,
        refusals: Refusals | None = None,
    ) -> Consumer:
        """Consume a work queue with ``prefetch`` handlers at once; outcomes: see `settlement`.

        ``refusals`` says what the sender of a message is told that goes to the dead letters.
        Raises `TopologyMissing` when there is no such queue, `ConsumerLost` when it is refused.
        """
        settle: Settle = self._settlement
        if refusals is not None:
            settle = RefusalServer(self._replies, self._settlement, refusals)
        return await self._start(
            Consumer(
                self._connection,
                queue,
                existing(queue),
                _by_its_bindings(queue, handler),
                settle,
                prefetch=prefetch,
                patience=self._patience,
            )
        )

    async def reply(self, delivery: Delivery, reply: Message, *, subject: str) -> None:
        """Send ``reply``, about ``subject``, to the delivery's ``reply_to``, if it may be used.

        Best effort: it returns also when nobody took it, at the latest after some seconds.
        """
        await self._replies.send(reply, delivery, delivery.envelope, subject=subject)

    async def query(
        self, owner: str, envelope: Envelope, message: Message, *, timeout: float = 10
    ) -> Message:
        """Ask ``owner`` and return its answer.

        Raises `QueryRefused` with the owner's problem; `QueryTimeout` after ``timeout`` seconds,
        or at once when the broker is lost meanwhile or the queue is missing or full.
        """
        with spans.asking(owner, envelope):
            return await self._queries.ask(owner, envelope, message, timeout)

    async def serve_queries(self, owner: str, handler: QueryHandler) -> Consumer:
        """Answer the queries to ``owner``: a `ColobusError` becomes a `QueryFailed` answer."""
        server = QueryServer(self._replies, self._settlement, handler)
        queue = f"{owner}.queries"
        return await self._start(
            Consumer(
                self._connection,
                queue,
                existing(queue),
                _by_its_bindings(queue, server.handle),
                server.settle,
                prefetch=_QUERIES_PREFETCH,
                patience=self._patience,
            )
        )

    async def subscribe_live(
        self, bindings: Sequence[Binding], handler: Handler, *, max_length: int = 10_000
    ) -> Consumer:
        """Hand on what happens from now on, in order, one at a time; a gap at each reconnect."""
        return await self._start(
            Consumer(
                self._connection,
                f"{self._name}.live",
                live_queue(self._name, bindings, max_length),
                handler,
                let_go,
                prefetch=_LIVE_PREFETCH,
                patience=self._patience,
                in_order=True,
            )
        )

    async def check_topology(self) -> None:
        """Raise `TopologyMissing` with all that the admin step has not declared."""
        exchanges = [exchange.name for exchange in TOPOLOGY.exchanges]
        queues = [queue.name for queue in TOPOLOGY.work_queues]
        queues += [queue.name for queue in TOPOLOGY.delay_queues]
        queues += [queue.name for queue in TOPOLOGY.query_queues]
        missing = [f"exchange {e}" for e in exchanges if not await self._has(exchange=e)]
        missing += [f"queue {q}" for q in queues if not await self._has(queue=q)]
        if missing:
            raise TopologyMissing(missing)

    async def _has(self, *, exchange: str | None = None, queue: str | None = None) -> bool:
        try:
            async with asyncio.timeout(self._patience), broker_errors():
                channel = await (await self._connection.session()).channel()
                if exchange is not None:
                    await channel.exchange_declare(exchange, passive=True)
                if queue is not None:
                    await channel.queue_declare(queue, passive=True)
                await channel.close()
        except ChannelRefused as error:
            if error.not_found:
                return False
            raise BusUnavailable(str(error)) from error
        except (ChannelGone, TimeoutError) as error:
            raise BusUnavailable(f"the broker was lost while asking: {error}") from error
        return True

    async def wait_failed(self) -> NoReturn:
        """Wait until a consumer is gone for good and raise why (`ConsumerLost`): the watchdog."""
        while True:
            self._news.clear()
            tasks = [consumer.subscription.task for consumer in self._consumers]
            watched = [task for task in (*tasks, self._connection.task) if task is not None]
            for task in watched:
                if task.done() and not task.cancelled() and (error := task.exception()):
                    raise error
            news = asyncio.ensure_future(self._news.wait())
            running = [task for task in watched if not task.done()]
            try:
                await asyncio.wait([news, *running], return_when=asyncio.FIRST_COMPLETED)
            finally:
                news.cancel()

    def connected(self) -> bool:
        """Whether there is a connection and every consumer is on its queue: for readiness."""
        return self._connection.current is not None and all(
            consumer.subscription.attached for consumer in self._consumers
        )

    async def drain(self, timeout: float) -> None:
        """Take no more deliveries, and wait for the handlers under way for ``timeout`` seconds."""
        await asyncio.gather(*(consumer.drain(timeout) for consumer in self._consumers))

    async def close(self) -> None:
        """Close everything; what is not acknowledged goes back to the broker."""
        await asyncio.gather(*(consumer.close() for consumer in self._consumers))
        await self._connection.close()

    async def _start(self, consumer: Consumer) -> Consumer:
        await consumer.subscription.start()
        self._consumers.append(consumer)
        self._news.set()
        return consumer


def _by_its_bindings(queue: str, handler: Handler) -> Handler:
    """Refuse what came to the queue past its bindings, for which nobody's leave was asked."""

    async def handle(delivery: Delivery) -> None:
        if not topology.belongs(queue, delivery.exchange, delivery.routing_key):
            origin = f"exchange {delivery.exchange!r}, key {delivery.routing_key!r}"
            detail = f"no binding of {queue} lets this through: {origin}"
            raise RejectedMessage(detail, reason=FORBIDDEN, status=403)
        await handler(delivery)

    return handle
