"""What is forgotten, cleaned up and counted from time to time; any replica may do it, all do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NoReturn

import structlog

from services.webhook_worker.context import Context
from services.webhook_worker.metrics import OLDEST_PENDING, PENDING
from shared.runtime.errors import TemporaryError
from shared.storage import Connection, forget_old

#: How often, in seconds.
FORGET_EVERY = 3600.0
TIDY_EVERY = 60.0
MEASURE_EVERY = 15.0
#: Rows of one transaction, so that none is long.
BATCH = 1000

_FINISHED = """
DELETE FROM deliveries WHERE id IN (
    SELECT id FROM deliveries WHERE finished_at < now() - $1::interval
    ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)
"""

# Deliveries of an ended subscription are gone before it, so that this never removes many rows.
_ENDED = """
DELETE FROM subscriptions WHERE (tenant, id) IN (
    SELECT tenant, id FROM subscriptions s
    WHERE least(s.ended_at, s.deleted_at) < now() - $1::interval
      AND (s.resource_id IS NULL OR s.ended_at < now() - $1::interval)
      AND NOT EXISTS (SELECT FROM deliveries d
                      WHERE d.tenant = s.tenant AND d.subscription_id = s.id)
    LIMIT $2 FOR UPDATE SKIP LOCKED)
"""

_KEYS = """
DELETE FROM signing_keys WHERE (tenant, scope) IN (
    SELECT tenant, scope FROM signing_keys k
    WHERE k.scope <> 'callback' AND NOT EXISTS (
        SELECT FROM subscriptions s WHERE s.tenant = k.tenant AND s.id = k.scope) LIMIT $1)
"""

# A delivery that was queued, or being sent, in the moment in which its subscription ended.
_STRAGGLERS = """
UPDATE deliveries SET state = 'cancelled', next_attempt_at = NULL, claim = NULL,
       claimed_until = NULL, finished_at = now()
WHERE id IN (
    SELECT d.id FROM deliveries d
    JOIN subscriptions s ON s.tenant = d.tenant AND s.id = d.subscription_id
    WHERE d.state = 'pending' AND (s.disabled_at IS NOT NULL OR s.deleted_at IS NOT NULL)
      AND (d.claimed_until IS NULL OR d.claimed_until < now())
    LIMIT $1 FOR UPDATE OF d SKIP LOCKED)
"""

_PENDING = """
SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8
FROM deliveries WHERE state = 'pending'
"""

_log = structlog.get_logger(__name__)


async def forget(context: Context) -> None:
    """Remove what ended longer ago than the retention, and the inbox's memory of it."""
    kept = timedelta(seconds=context.settings.webhook_retention)
    await _in_batches(context, lambda tx: _count(tx, _FINISHED, kept, BATCH))
    await _in_batches(context, lambda tx: _count(tx, _ENDED, kept, BATCH))
    await _in_batches(context, lambda tx: _count(tx, _KEYS, BATCH))
    await _in_batches(context, lambda tx: forget_old(tx, kept))


async def tidy(context: Context) -> None:
    """Cancel what still waits for subscriptions that have ended."""
    await _in_batches(context, lambda tx: _count(tx, _STRAGGLERS, BATCH))


async def measure(context: Context) -> None:
    """Count what waits, for Prometheus."""
    async with context.database.connection() as connection:
        row = await connection.fetchrow(_PENDING)
    pending, age = row or (0, 0.0)
    PENDING.set(pending)
    OLDEST_PENDING.set(age)


async def run_round(
    context: Context, name: str, seconds: float, do: Callable[[Context], Awaitable[None]]
) -> NoReturn:
    """Do it now and every ``seconds``; a database that is away is waited for."""
    while True:
        try:
            await do(context)
        except TemporaryError as error:
            _log.warning("round put off", round=name, error=error.detail)
        await asyncio.sleep(seconds)


async def _in_batches(context: Context, remove: Callable[[Connection], Awaitable[int]]) -> None:
    number = None
    while number is None or number >= BATCH:
        async with context.database.transaction() as tx:
            number = await remove(tx)


async def _count(tx: Connection, statement: str, *values: object) -> int:
    status = await tx.execute(statement, *values)
    return int(status.rpartition(" ")[2])
