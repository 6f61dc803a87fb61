"""The outbox's statements, and its rows as Python sees them."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from shared.contract.outgoing import OutgoingMessage
from shared.runtime.deadline import Deadline
from shared.storage.database import Connection

#: How long a row belongs to who wrote it, and to who found it left behind, in seconds.
FIRST_CLAIM_SECONDS = 5.0
LATER_CLAIM_SECONDS = 30.0
#: Rows claimed by one statement.
CLAIM_AT_ONCE = 100

_INSERT = """
INSERT INTO outbox (id, exchange, routing_key, type, body, tries, claimed_until)
SELECT id, exchange, routing_key, type, body, 1, clock_timestamp() + make_interval(secs => $6)
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[])
     WITH ORDINALITY AS new (id, exchange, routing_key, type, body, place)
ORDER BY place
RETURNING position
"""
_CLAIM = """
WITH due AS (
    SELECT position FROM outbox WHERE claimed_until < clock_timestamp()
    ORDER BY position LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE outbox
SET tries = tries + 1, claimed_until = clock_timestamp() + make_interval(secs => $2)
FROM due WHERE outbox.position = due.position
RETURNING outbox.position, id, exchange, routing_key, type, body, tries
"""
_DELETE = "DELETE FROM outbox WHERE position = ANY($1::bigint[])"
_LEAVE = """
UPDATE outbox SET claimed_until = clock_timestamp() + make_interval(secs => pause)
FROM unnest($1::bigint[], $2::integer[], $3::float8[]) AS left_row (position, tries, pause)
WHERE outbox.position = left_row.position AND outbox.tries = left_row.tries
"""


class Row(msgspec.Struct, frozen=True):
    """A row that this process has claimed, until ``claim`` expires."""

    position: int
    message: OutgoingMessage
    tries: int
    claim: Deadline

    @property
    def repeated(self) -> bool:
        """Whether the message may have been published before."""
        return self.tries > 1


class Attributes(msgspec.Struct, frozen=True):
    """What a CloudEvent's body says of itself: its resource, and the trace that it is part of."""

    subject: str = ""
    traceparent: str | None = None


_attributes = msgspec.json.Decoder(Attributes)


def attributes_of(message: OutgoingMessage) -> Attributes:
    """Read them from the body."""
    return _attributes.decode(message.body)


async def insert(tx: Connection, messages: Sequence[OutgoingMessage]) -> tuple[Row, ...]:
    """Insert claimed rows, in order."""
    if not messages:
        return ()
    claim = Deadline.after(FIRST_CLAIM_SECONDS)
    columns = [[getattr(m, name) for m in messages] for name in OutgoingMessage.__struct_fields__]
    fields = dict(zip(OutgoingMessage.__struct_fields__, columns, strict=True))
    places = await tx.fetch(
        _INSERT,
        *(fields[name] for name in ("id", "exchange", "routing_key", "type", "body")),
        FIRST_CLAIM_SECONDS,
    )
    pairs = zip(sorted(record["position"] for record in places), messages, strict=True)
    return tuple(Row(position, message, 1, claim) for position, message in pairs)


async def claim(connection: Connection, limit: int) -> list[Row]:
    """Claim rows that nobody claims any more, oldest first."""
    until = Deadline.after(LATER_CLAIM_SECONDS)
    records = await connection.fetch(_CLAIM, limit, LATER_CLAIM_SECONDS)
    return sorted((_row(record, until) for record in records), key=lambda row: row.position)


async def delete(connection: Connection, positions: Sequence[int]) -> None:
    """Delete rows whose messages are published."""
    await connection.execute(_DELETE, positions)


async def leave(connection: Connection, rows: Sequence[tuple[Row, float]]) -> None:
    """Give up claims; each row is due again after its pause (seconds)."""
    positions = [row.position for row, _ in rows]
    tries = [row.tries for row, _ in rows]
    await connection.execute(_LEAVE, positions, tries, [pause for _, pause in rows])


def _row(record: asyncpg.Record, until: Deadline) -> Row:
    message = OutgoingMessage(**{name: record[name] for name in OutgoingMessage.__struct_fields__})
    return Row(record["position"], message, record["tries"], until)
