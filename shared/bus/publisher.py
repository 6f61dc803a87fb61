"""Publishing with confirms, pipelined on one channel, over reconnects, until confirmed.

A confirm means that every queue that takes the message has it on disk (quorum: on a majority).
A message that the broker doesn't accept closes the whole channel, and with it fails all that
were on their way: each of these is then tried alone, so that only the culprit is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count

import aiormq
import structlog

from shared.bus import frames, metrics
from shared.bus.connection import (
    BrokerConnection,
    ChannelGone,
    ChannelRefused,
    Session,
    broker_errors,
    pause_after,
    pauses,
)
from shared.bus.errors import BusUnavailable, PublishFailed, PublishRefused, Unroutable
from shared.bus.pipeline import Pipeline
from shared.contract import topology
from shared.contract.codec import CONTENT_TYPE
from shared.contract.identifiers import new_ulid

#: Messages on their way at most; more wait here instead of in the socket's buffer.
WINDOW = 512

#: How old a channel must be, in seconds, before a refused message makes us take another.
STALE_SECONDS = 2.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Publication:
    """A message with all that AMQP wants to know of it, except who we are."""

    exchange: str
    routing_key: str
    body: bytes
    message_id: str | None = None
    type: str | None = None
    headers: Mapping[str, str | int | bool | float] = field(default_factory=dict)
    content_type: str | None = CONTENT_TYPE
    reply_to: str | None = None
    correlation_id: str | None = None
    #: How long it lives in the queue, in seconds; None: as long as the queue lets it.
    expiration: float | None = None
    persistent: bool = True
    mandatory: bool = True
    #: Whether it is tried again while a queue refuses it for being full.
    insistent: bool = True

    def frames(self, channel: Pipeline, message_id: str, user: str, app: str) -> bytes:
        """The message as bytes; ``user`` is checked by the broker (validated user-id).

        Raises `PublishRefused` for what AMQP can't carry.
        """
        number, body, expiration = channel.number, self.body, self.expiration
        try:
            return b"".join(
                (
                    frames.method_frame(number, self.exchange, self.routing_key, self.mandatory),
                    frames.header_frame(
                        number,
                        len(body),
                        content_type=self.content_type,
                        headers=self.headers,
                        delivery_mode=2 if self.persistent else 1,
                        correlation_id=self.correlation_id,
                        reply_to=self.reply_to,
                        expiration=None if expiration is None else str(int(expiration * 1000)),
                        message_id=message_id,
                        timestamp=datetime.now(UTC),
                        type=self.type,
                        user_id=user,
                        app_id=app,
                    ),
                    frames.body_frames(number, body, channel.largest_part),
                )
            )
        except (ValueError, TypeError) as error:
            raise PublishRefused(f"not fit for AMQP: {error}") from error


async def send(channel: Pipeline, publication: Publication, user: str, app: str) -> None:
    """Publish once and wait for the confirm.

    Raises `ChannelGone`, `ChannelRefused`, `Unroutable`, `PublishRefused`, or aiormq's
    DeliveryError when the broker took the message but a queue refused it (it is full).
    """
    # Without an id it gets one all the same: a returned message is known by nothing else.
    message_id = publication.message_id or new_ulid()
    try:
        await channel.publish(publication.frames(channel, message_id, user, app), message_id)
    except aiormq.PublishError as error:
        raise Unroutable(
            f"no queue takes {publication.routing_key!r} of exchange {publication.exchange!r}"
        ) from error


class Publisher:
    """Publishes for the whole process."""

    def __init__(self, connection: BrokerConnection, app: str) -> None:
        self._connection = connection
        self._app = app
        self._window = asyncio.Semaphore(WINDOW)
        self._pipeline: Pipeline | None = None
        self._opening = asyncio.Lock()
        self._alone = asyncio.Lock()
        self._finishing: set[asyncio.Task[None]] = set()

    async def publish(self, publication: Publication, *, timeout: float) -> None:
        """Publish until confirmed, for ``timeout`` seconds.

        Raises `PublishFailed` (unconfirmed in time), `Unroutable`, `PublishRefused`.
        """
        began = time.perf_counter()
        outcome = "failed"
        try:
            await self._publish(publication, timeout)
            outcome = "confirmed"
            metrics.CONFIRM_SECONDS.observe(time.perf_counter() - began)
        except Unroutable:
            outcome = "unroutable"
            raise
        except PublishRefused:
            outcome = "refused"
            raise
        finally:
            metrics.published(publication.exchange or "(default)", outcome).inc()

    async def _publish(self, publication: Publication, timeout: float) -> None:
        trouble = ["no connection to a broker"]
        try:
            async with asyncio.timeout(timeout), self._window:
                await self._persist(publication, trouble)
        except TimeoutError as error:
            raise PublishFailed(
                f"not confirmed by the broker in {timeout:g} s: {trouble[-1]}"
            ) from error
        except BusUnavailable as error:
            raise PublishFailed(error.detail) from error

    async def _persist(self, publication: Publication, trouble: list[str]) -> None:
        for attempt in count():
            session = self._connection.current or await self._connection.session()
            pipeline = None
            try:
                pipeline = self._open_pipeline() or await self._open(session)
                return await self._send(pipeline, publication, session)
            except ChannelRefused:
                return await self._publish_alone(publication, trouble)
            except ChannelGone as error:
                trouble.append(str(error))
            except aiormq.DeliveryError as error:
                self._retire(pipeline)
                _note_full(publication, trouble, error)
            await asyncio.sleep(pause_after(attempt))

    def _retire(self, pipeline: Pipeline | None) -> None:
        """Let what comes next go over a new channel: this one may be refused for ever.

        Seen with RabbitMQ 3.10: to a channel that first publishes to a quorum queue just when its
        leader's node was killed, all is refused as if the queue were full, until that node is back.
        """
        if pipeline is None or pipeline is not self._pipeline or pipeline.age < STALE_SECONDS:
            return
        self._pipeline = None
        finishing = asyncio.create_task(_finish(pipeline))
        self._finishing.add(finishing)
        finishing.add_done_callback(self._finishing.discard)

    async def _publish_alone(self, publication: Publication, trouble: list[str]) -> None:
        """Publish on a channel of its own; if that is closed too, this message is the culprit."""
        async with self._alone:
            async for _ in pauses():
                session = await self._connection.session()
                try:
                    channel = await session.channel(confirms=True)
                    await self._send(Pipeline(channel), publication, session)
                    return await _close(channel)
                except ChannelRefused as error:
                    _log.error("publishing refused by broker", error=str(error))
                    kind = Unroutable if error.not_found else PublishRefused
                    raise kind(str(error)) from error
                except ChannelGone as error:
                    trouble.append(str(error))
                except aiormq.DeliveryError as error:
                    _note_full(publication, trouble, error)

    async def _send(self, channel: Pipeline, publication: Publication, session: Session) -> None:
        """Publish; where a tenant's queue may be the one that is full, by the way past tenants.

        Ours that took it the first time have it twice, which changes nothing.
        """
        try:
            await send(channel, publication, session.user, self._app)
        except aiormq.DeliveryError:
            if publication.exchange not in topology.OPEN_TO_TENANTS:
                raise
            past_tenants = replace(publication, exchange=topology.for_ours(publication.exchange))
            await send(channel, past_tenants, session.user, self._app)
            metrics.PAST_TENANTS.labels(publication.exchange).inc()

    def _open_pipeline(self) -> Pipeline | None:
        pipeline = self._pipeline
        return None if pipeline is None or pipeline.is_closed else pipeline

    async def _open(self, session: Session) -> Pipeline:
        async with self._opening:
            if (pipeline := self._open_pipeline()) is not None:
                return pipeline
            self._pipeline = Pipeline(await session.channel(confirms=True))
            return self._pipeline


def _note_full(publication: Publication, trouble: list[str], error: Exception) -> None:
    if not publication.insistent:
        raise PublishFailed("a queue is full") from error
    trouble.append("a queue is full")


async def _finish(pipeline: Pipeline) -> None:
    try:
        await pipeline.finish()
    except (ChannelGone, ChannelRefused, TimeoutError) as error:
        _log.debug("channel closed uncleanly", error=str(error))


async def _close(channel: aiormq.Channel) -> None:
    try:
        async with asyncio.timeout(5), broker_errors():
            await channel.close()
    except (ChannelGone, ChannelRefused, TimeoutError) as error:
        _log.debug("channel closed uncleanly", error=str(error))
