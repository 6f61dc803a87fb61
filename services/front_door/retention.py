"""What the front door forgets: settled requests, and resources that ended long ago.

Any replica may do it, all do. In batches, so that no transaction is long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NoReturn

import structlog

from shared.runtime.errors import TemporaryError
from shared.storage import Connection, Database

#: How often, in seconds.
INTERVAL = 600
#: Rows of one transaction; a resource goes with all of its timeline.
BATCH = 500

_SETTLED = """
WITH gone AS (
    DELETE FROM requests WHERE id IN (
        SELECT id FROM requests WHERE created_at < now() - $1::interval
        AND (confirmed_at IS NOT NULL OR withdrawn_at IS NOT NULL)
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING id)
SELECT count(*) FROM gone
"""
_ENDED = """
WITH gone AS (
    DELETE FROM resources WHERE id IN (
        SELECT id FROM resources
        WHERE phase IN ('deleted', 'failed') AND updated_at < now() - $1::interval
        ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING id
), entries AS (
    DELETE FROM events WHERE resource_id IN (SELECT id FROM gone)
)
SELECT count(*) FROM gone
"""

_log = structlog.get_logger(__name__)


async def run(database: Database, *, requests: timedelta, resources: timedelta) -> NoReturn:
    """Forget now and again; a database that is away is waited for."""
    while True:
        try:
            await forget_requests(database, requests)
            await forget_resources(database, resources)
        except TemporaryError as error:
            _log.warning("cannot clean up now", error=str(error))
        await asyncio.sleep(INTERVAL)


async def forget_requests(database: Database, age: timedelta) -> None:
    """Forget requests that are settled and older than ``age``, with their Idempotency-Keys."""
    await _in_batches(database, lambda tx: tx.fetchval(_SETTLED, age, BATCH))


async def forget_resources(database: Database, age: timedelta) -> None:
    """Forget resources that ended ``age`` ago (deleted, failed), with their timelines."""
    await _in_batches(database, lambda tx: tx.fetchval(_ENDED, age, BATCH))


async def _in_batches(database: Database, forget: Callable[[Connection], Awaitable[int]]) -> None:
    forgotten = 1
    while forgotten:
        async with database.transaction() as tx:
            forgotten = await forget(tx)
