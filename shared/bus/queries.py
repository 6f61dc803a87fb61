"""Asking an owner, and being answered by RabbitMQ's direct reply-to; no queue per answer is made.

Source: rabbitmq.com/docs/direct-reply-to. The reply address belongs to the channel that the
query was published on, so both live on one channel here, and an answer is lost with it.
"""

from __future__ import annotations

import asyncio
import time

import aiormq
import structlog
from aiormq.abc import DeliveredMessage

from shared.bus import metrics
from shared.bus.connection import (
    BrokerConnection,
    ChannelGone,
    ChannelRefused,
    Session,
    broker_errors,
)
from shared.bus.errors import (
    BusUnavailable,
    PublishRefused,
    QueryRefused,
    QueryTimeout,
    QueryUndelivered,
    Unroutable,
)
from shared.bus.pipeline import Pipeline
from shared.bus.publisher import Publication, send
from shared.contract import topology
from shared.contract.codec import Envelope, UndecodableMessage, decode, encode
from shared.contract.identifiers import new_ulid
from shared.contract.messages import Message, QueryFailed

_REPLY_TO = "amq.rabbitmq.reply-to"

_log = structlog.get_logger(__name__)


class QueryClient:
    """Asks, for the whole process, over one channel."""

    def __init__(self, connection: BrokerConnection, app: str) -> None:
        self._connection = connection
        self._app = app
        self._pipeline: Pipeline | None = None
        self._opening = asyncio.Lock()
        self._waiting: dict[str, asyncio.Future[bytes]] = {}

    async def ask(
        self, owner: str, envelope: Envelope, message: Message, timeout: float
    ) -> Message:
        """Return the owner's answer.

        Raises `QueryRefused` (the owner's own problem), `QueryTimeout`, `QueryUndelivered`.
        """
        began, outcome = time.perf_counter(), "timeout"
        try:
            answer = await self._ask(owner, envelope, message, timeout)
            outcome = "answered"
        except QueryRefused:
            outcome = "refused"
            raise
        finally:
            seconds = time.perf_counter() - began
            metrics.QUERY_SECONDS.labels(envelope.message_name, outcome).observe(seconds)
        return answer

    async def _ask(
        self, owner: str, envelope: Envelope, message: Message, timeout: float
    ) -> Message:
        question = f"{owner}.{envelope.message_name}"
        correlation = new_ulid()
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[correlation] = reply
        publication = Publication(
            exchange=topology.QUERIES,
            routing_key=question,
            body=encode(envelope, message),
            message_id=correlation,  # a query asked again is a message of its own
            type=envelope.type,
            reply_to=_REPLY_TO,
            correlation_id=correlation,
            expiration=timeout,
            persistent=False,
        )
        try:
            async with asyncio.timeout(timeout):
                await self._send(publication)
                body = await reply
        except TimeoutError as error:
            raise QueryTimeout(f"{question}: no answer within {timeout:g} s") from error
        except (BusUnavailable, ChannelGone) as error:
            raise QueryTimeout(f"{question}: the broker was lost while waiting") from error
        finally:
            self._waiting.pop(correlation, None)
            reply.cancel()
        return _answer(question, body)

    async def _send(self, publication: Publication) -> None:
        session = await self._connection.session()
        pipeline = await self._open(session)
        try:
            await send(pipeline, publication, session.user, self._app)
        except (Unroutable, aiormq.DeliveryError) as error:
            raise QueryUndelivered(
                f"{publication.routing_key}: its queue is missing or full"
            ) from error
        except ChannelRefused as error:
            raise PublishRefused(str(error)) from error

    async def _open(self, session: Session) -> Pipeline:
        async with self._opening:
            if self._pipeline is None or self._pipeline.is_closed:
                channel = await session.channel(confirms=True)
                async with broker_errors():
                    await channel.basic_consume(_REPLY_TO, self._on_reply, no_ack=True)
                channel.closing.add_done_callback(self._on_closed)
                self._pipeline = Pipeline(channel)
            return self._pipeline

    async def _on_reply(self, raw: DeliveredMessage) -> None:
        reply = self._waiting.get(raw.header.properties.correlation_id or "")
        if reply is not None and not reply.done():
            reply.set_result(raw.body)

    def _on_closed(self, _: asyncio.Future[object]) -> None:
        """Answers to whatever is open came to this channel: they won't come any more."""
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(ChannelGone("the channel for answers was closed"))
                reply.exception()  # seen, even when its asker has just given up


def _answer(question: str, body: bytes) -> Message:
    try:
        _, message = decode(body)
    except UndecodableMessage as error:
        raise QueryTimeout(f"{question}: the answer can't be read: {error}") from error
    if isinstance(message, QueryFailed):
        raise QueryRefused(message.problem)
    return message
