"""The outbox: messages are stored in the transaction of their cause, and published after it.

A row is there until the broker has confirmed its message. The process that wrote it claims it for
some seconds and publishes at once; a row whose claim has run out was left behind, and whoever
sees it first claims and publishes it with ``repeated``. So nothing is lost, whatever is killed
when, and what is published twice says so.

Order: messages of one resource on one exchange are published one after the other, in the order
of their batches; all others side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NoReturn, Protocol

import msgspec
import structlog

from shared.contract.outgoing import OutgoingMessage
from shared.runtime import tracing
from shared.runtime.errors import BackendUnavailable, PermanentError, TemporaryError
from shared.storage import outbox_metrics, outbox_rows
from shared.storage.books import Books
from shared.storage.database import Connection, Database
from shared.storage.in_order import InOrder
from shared.storage.outbox_rows import Row

#: Messages and bytes in hand at most; what is above stays in its row until there is room.
MAX_IN_HAND = 2000
MAX_BYTES_IN_HAND = 64 * 1024 * 1024
#: How long the broker may take to confirm, in seconds; below the time of a claim (`outbox_rows`).
PUBLISH_SECONDS = 15.0
#: Between two looks for rows that were left behind, and between measurements, in seconds.
_LOOK_EVERY = 1.0
_MEASURE_EVERY = 5.0
#: How long what is in hand may take at the end, in seconds.
_FINISH_SECONDS = 2.0

_log = structlog.get_logger(__name__)


class Publisher(Protocol):
    """What the outbox asks of the bus."""

    async def publish(
        self, message: OutgoingMessage, *, repeated: bool = False, timeout: float = 15
    ) -> None:
        """Publish until confirmed; raises `TemporaryError` or `PermanentError`."""


class OutboxBatch(msgspec.Struct, frozen=True):
    """What one transaction has put into the outbox, for `Outbox.send`."""

    rows: tuple[Row, ...]


class Outbox:
    """The outbox of one service. `run` must run for `send` to have an effect."""

    def __init__(self, database: Database, bus: Publisher) -> None:
        self._database = database
        self._bus = bus
        self._arrived: asyncio.Queue[Row] = asyncio.Queue()
        self._books = Books(database)
        self._in_hand = 0
        self._bytes_in_hand = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def put(self, tx: Connection, messages: Sequence[OutgoingMessage]) -> OutboxBatch:
        """Store ``messages`` in the transaction ``tx``, claimed for `send`."""
        return OutboxBatch(await outbox_rows.insert(tx, messages))

    def send(self, batch: OutboxBatch) -> None:
        """Publish the batch, whose transaction is committed, in the background.

        When too much is in hand, its rows wait in the table for their turn.
        """
        for place, row in enumerate(batch.rows):
            if not self._take(row):
                outbox_metrics.DEFERRED.inc(len(batch.rows) - place)
                return

    async def run(self) -> NoReturn:
        """Publish what `send` hands over and what was left behind; an outage is waited for.

        Cancelled, it first publishes what is in hand, if that takes no longer than a moment.
        """
        try:
            async with asyncio.TaskGroup() as group:
                order = InOrder(group, self._publish, self._skip)
                group.create_task(self._look_for_left_behind(), name="outbox left behind")
                group.create_task(self._measure(), name="outbox measure")
                group.create_task(self._books.keep(), name="outbox books")
                dispatch = group.create_task(self._dispatch(order), name="outbox dispatch")
                try:
                    await asyncio.wait([dispatch])
                finally:
                    await self._finish()
        finally:
            await self._books.close()
        raise AssertionError("the outbox's tasks never end")

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(_FINISH_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("outbox stops with messages in hand", count=self._in_hand)

    def _take(self, row: Row) -> bool:
        size = len(row.message.body)
        if self._in_hand >= MAX_IN_HAND or self._bytes_in_hand + size > MAX_BYTES_IN_HAND:
            return False
        self._in_hand += 1
        self._bytes_in_hand += size
        self._idle.clear()
        self._arrived.put_nowait(row)
        return True

    async def _dispatch(self, order: InOrder[Row]) -> NoReturn:
        while True:
            row = await self._arrived.get()
            order.add((row.message.exchange, outbox_rows.attributes_of(row.message).subject), row)

    async def _publish(self, row: Row) -> bool:
        """Publish one row, as part of its trace; return whether its successors may follow."""
        with tracing.resumed(outbox_rows.attributes_of(row.message).traceparent):
            return await self._publish_row(row)

    async def _publish_row(self, row: Row) -> bool:
        try:
            row.claim.check()
            await self._bus.publish(
                row.message,
                repeated=row.repeated,
                timeout=row.claim.remaining(at_most=PUBLISH_SECONDS),
            )
        except (TemporaryError, PermanentError) as error:
            self._failed(row, error)
            return False
        self._put_down(row)
        self._books.published(row.position)
        outbox_metrics.PUBLISHED.labels("repeated" if row.repeated else "first").inc()
        return True

    def _skip(self, row: Row) -> None:
        """Leave a row whose predecessor failed."""
        self._put_down(row)
        self._books.left(row, permanently=False)

    def _failed(self, row: Row, error: TemporaryError | PermanentError) -> None:
        self._put_down(row)
        self._books.left(row, permanently=isinstance(error, PermanentError))
        outbox_metrics.FAILED.inc()
        _log.warning(
            "not published",
            error=error.detail,
            message=row.message.type,
            message_id=row.message.id,
            exchange=row.message.exchange,
            tries=row.tries,
        )

    def _put_down(self, row: Row) -> None:
        self._in_hand -= 1
        self._bytes_in_hand -= len(row.message.body)
        if not self._in_hand:
            self._idle.set()

    async def _look_for_left_behind(self) -> NoReturn:
        while True:
            more = False
            try:
                more = await self._claim_left_behind()
            except BackendUnavailable as error:
                _log.warning("outbox waits for the database", error=error.detail)
            if not more:
                await asyncio.sleep(_LOOK_EVERY)

    async def _claim_left_behind(self) -> bool:
        """Claim rows as there is room; return whether there may be more of them."""
        room = min(MAX_IN_HAND - self._in_hand, outbox_rows.CLAIM_AT_ONCE)
        if room <= 0:
            return False
        async with self._database.connection() as connection:
            rows = await outbox_rows.claim(connection, room)
        for row in rows:
            if not self._books.knows(row.position) and not self._take(row):
                self._books.left(row, permanently=False)
        return len(rows) == room

    async def _measure(self) -> NoReturn:
        while True:
            try:
                async with self._database.connection() as connection:
                    await outbox_metrics.measure(connection)
            except BackendUnavailable as error:
                _log.debug("outbox not measured", error=error.detail)
            await asyncio.sleep(_MEASURE_EVERY)
