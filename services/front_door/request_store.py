"""The table of accepted requests: what has been written, claimed, confirmed, withdrawn.

A row is *open* until the broker has confirmed its message (``confirmed_at``) or it has been given
up (``withdrawn_at``). Whoever publishes an open row claims it first, so that two replicas don't
publish it at once; a claim lapses with its holder.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeAlias

import asyncpg
import msgspec

from services.front_door import read_model
from shared.contract.outgoing import OutgoingMessage
from shared.contract.resources import Resource
from shared.storage import Connection, Database, Gathering

#: Replicas tell each other here that requests with a key are confirmed: their ids, with blanks
#: between them.
CONFIRMED_CHANNEL = "front_door_confirmed"

# All rows of a batch at once, a column an array: one statement costs the server and us much less
# than one for each row.
_INSERT = """
INSERT INTO requests (id, tenant, resource_id, kind, verb, operation_id, scope, idempotency_key,
                      compensates, digest, exchange, routing_key, type, body, claimed_until)
SELECT asked.*, now() + $15::interval FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::bytea[], $11::text[], $12::text[], $13::text[], $14::bytea[]
) AS asked
ON CONFLICT (tenant, scope, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id
"""
# With the resources that they make; their messages may have been quicker, then they are the newer.
_INSERT_CREATE = f"""
WITH fresh AS ({_INSERT}), shown AS (
    INSERT INTO resources (id, ulid, tenant, kind, name, phase, labels, revision, updated_at,
                           document)
    SELECT made.id, right(made.id, 26), tenant, kind, name, phase, labels::jsonb, revision,
           updated_at, document::json
    FROM unnest(
        $1::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[],
        $22::bigint[], $23::timestamptz[], $24::text[]
    ) AS made(request, id, tenant, kind, name, phase, labels, revision, updated_at, document)
    JOIN fresh ON fresh.id = made.request
    ON CONFLICT (id) DO NOTHING)
SELECT id FROM fresh
"""  # noqa: S608 - of our own constant
_BY_KEY = """
SELECT requests.*, confirmed_at IS NOT NULL AS confirmed
FROM unnest($1::text[], $2::text[], $3::text[]) AS asked(tenant, scope, idempotency_key)
JOIN requests USING (tenant, scope, idempotency_key) WHERE idempotency_key IS NOT NULL
"""
_OPEN_CREATE = """
SELECT * FROM requests WHERE resource_id = $1 AND verb = 'create'
AND confirmed_at IS NULL AND withdrawn_at IS NULL
"""
_CLAIM = """
UPDATE requests SET claimed_until = now() + $2
WHERE id = $1 AND claimed_until <= now() AND confirmed_at IS NULL AND withdrawn_at IS NULL
RETURNING id
"""
_CLAIM_STALE = """
UPDATE requests SET claimed_until = now() + $1 WHERE id IN (
    SELECT id FROM requests
    WHERE claimed_until <= now() AND confirmed_at IS NULL AND withdrawn_at IS NULL
    ORDER BY claimed_until LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING *
"""
_RELEASE = """
UPDATE requests SET claimed_until = now()
WHERE id = $1 AND confirmed_at IS NULL AND withdrawn_at IS NULL
"""
_CONFIRM = """
WITH confirmed AS (
    UPDATE requests SET confirmed_at = coalesce(confirmed_at, now())
    WHERE id = ANY($1) AND withdrawn_at IS NULL RETURNING id, idempotency_key
), told AS (
    SELECT pg_notify($2, string_agg(id, ' ')) FROM confirmed
    WHERE idempotency_key IS NOT NULL HAVING count(*) > 0)
SELECT id, (SELECT count(*) FROM told) FROM confirmed
"""
_WITHDRAW = """
UPDATE requests SET withdrawn_at = coalesce(withdrawn_at, now())
WHERE id = $1 AND confirmed_at IS NULL RETURNING resource_id
"""


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request. ``scope`` is method and path, ``digest`` the keyed digest of its body.

    ``compensates`` names the withdrawn create that this delete makes good for.
    """

    id: str
    tenant: str
    resource_id: str
    kind: str
    verb: str
    scope: str
    digest: bytes
    exchange: str
    routing_key: str
    type: str
    body: bytes
    operation_id: str | None = None
    idempotency_key: str | None = None
    compensates: str | None = None
    confirmed: bool = False

    @property
    def message(self) -> OutgoingMessage:
        """What is to be published, the same every time."""
        return OutgoingMessage(self.exchange, self.routing_key, self.id, self.type, self.body)

    @property
    def outlives_its_answer(self) -> bool:
        """Whether it is published in the end, although its asker may have been told 503."""
        return self.idempotency_key is not None or self.compensates is not None


#: A row that is to be written, with the resource that it makes.
_Asked: TypeAlias = tuple[RequestRow, Resource | None]


def _key(asked: _Asked) -> tuple[str, str, str]:
    row = asked[0]
    return row.tenant, row.scope, row.idempotency_key or ""


class RequestStore:
    """The rows; ``claim_seconds`` is how long a claim holds, longer than publishing may take."""

    def __init__(self, database: Database, *, claim_seconds: float) -> None:
        self._database = database
        self._claim = timedelta(seconds=claim_seconds)
        self._asking = Gathering(self._insert_all, lanes=1)
        self._creating = Gathering(self._insert_all, lanes=1)
        self._confirming = Gathering(self._confirm_all, lanes=1)
        self._finding = Gathering(self._find_all)

    async def insert(self, row: RequestRow, created: Resource | None) -> tuple[RequestRow, bool]:
        """Write the row, claimed, with the resource it makes; or return what its key stands for.

        Returns the row, and whether it is new.
        """
        batches = self._asking if created is None else self._creating
        is_new = await batches.do((row, created))
        if is_new:
            return row, True
        assert row.idempotency_key is not None, "else nothing stands in its way"
        found = await self.by_key(row.tenant, row.scope, row.idempotency_key)
        assert found is not None, "kept for longer than a request takes"
        return found, False

    async def _insert_all(self, asked: Sequence[_Asked]) -> Sequence[bool]:
        """Write them, by one statement; tell for each whether it is new.

        In the order of their keys, so that two batches never wait for each other in a circle.
        """
        by_key = sorted(asked, key=_key)
        rows = [row for row, _ in by_key]
        created = [read_model.values(one) for _, one in by_key if one is not None]
        async with self._database.connection() as connection:
            fresh = await _insert(connection, rows, self._claim, created)
        return [row.id in fresh for row, _ in asked]

    async def by_key(self, tenant: str, scope: str, key: str) -> RequestRow | None:
        """Return the row that an Idempotency-Key stands for."""
        return await self._finding.do((tenant, scope, key))

    async def _find_all(self, keys: Sequence[tuple[str, str, str]]) -> Sequence[RequestRow | None]:
        async with self._database.connection() as connection:
            rows = [_row(row) for row in await connection.fetch(_BY_KEY, *zip(*keys, strict=True))]
        found = {(row.tenant, row.scope, row.idempotency_key): row for row in rows}
        return [found.get(key) for key in keys]

    async def open_create(self, resource_id: str) -> RequestRow | None:
        """Return the create of this resource when it is still open."""
        async with self._database.connection() as connection:
            found = await connection.fetchrow(_OPEN_CREATE, resource_id)
        return None if found is None else _row(found)

    async def is_confirmed(self, request_id: str) -> bool:
        """Tell whether the broker has confirmed it."""
        query = "SELECT confirmed_at IS NOT NULL FROM requests WHERE id = $1"
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(query, request_id))

    async def claim(self, request_id: str) -> bool:
        """Claim an open row for publishing; False when somebody else has it, or it isn't open."""
        async with self._database.connection() as connection:
            return await connection.fetchval(_CLAIM, request_id, self._claim) is not None

    async def claim_stale(self, limit: int) -> Sequence[RequestRow]:
        """Claim the oldest open rows whose claims have lapsed."""
        async with self._database.connection() as connection:
            return [_row(row) for row in await connection.fetch(_CLAIM_STALE, self._claim, limit)]

    async def release(self, request_id: str) -> None:
        """Give up a claim, so that the next try need not wait for it to lapse."""
        async with self._database.connection() as connection:
            await connection.execute(_RELEASE, request_id)

    async def confirm(self, request_id: str) -> bool:
        """Note that the broker has it; False when it had been withdrawn meanwhile."""
        return await self._confirming.do(request_id)

    async def _confirm_all(self, request_ids: Sequence[str]) -> Sequence[bool]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(_CONFIRM, request_ids, CONFIRMED_CHANNEL)
        confirmed = {row["id"] for row in rows}
        return [one in confirmed for one in request_ids]

    async def withdraw(self, request_id: str, compensation: RequestRow | None) -> None:
        """Give up a row for good: nobody publishes it any more, and its resource isn't shown.

        Whether the broker has the message already can't be known, so ``compensation`` (a delete)
        is left for the republisher.
        """
        async with self._database.transaction() as tx:
            resource_id = await tx.fetchval(_WITHDRAW, request_id)
            if resource_id is not None and compensation is not None:
                await read_model.remove_requested(tx, resource_id)
                await _insert(tx, [compensation], timedelta())


def _row(found: asyncpg.Record) -> RequestRow:
    return msgspec.convert(dict(found), RequestRow)


async def _insert(
    connection: Connection,
    rows: Sequence[RequestRow],
    claim: timedelta,
    created: Sequence[tuple[object, ...]] = (),
) -> set[str]:
    """Write rows, and the resource of each, where they make any; return the ids of the new ones."""
    columns = zip(*map(_values, rows), strict=True)
    if not created:
        found = await connection.fetch(_INSERT, *columns, claim)
    else:
        found = await connection.fetch(_INSERT_CREATE, *columns, claim, *zip(*created, strict=True))
    return {row["id"] for row in found}


def _values(row: RequestRow) -> tuple[object, ...]:
    return (
        *(row.id, row.tenant, row.resource_id, row.kind, row.verb, row.operation_id, row.scope),
        *(row.idempotency_key, row.compensates, row.digest),
        *(row.exchange, row.routing_key, row.type, row.body),
    )
