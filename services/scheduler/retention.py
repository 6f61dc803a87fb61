"""What the ledger forgets: resources that ended long ago, and the inbox's memory of deliveries.

A resource that is forgotten is unknown from then on: what bears its name in a cloud is still told
of, and not removed any more (`orphans`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from services.scheduler.context import Context
from shared.storage import Connection, forget_old

#: How often, in seconds.
INTERVAL = 3600.0
#: Resources of one transaction, so that none is long.
BATCH = 500
#: So much longer than the front door shows it is an ended resource known here: who still sees it
#: there may ask something of it.
LONGER = timedelta(days=1)

# Ended by a replica of a version that did not note when.
_NOTE = """
UPDATE resources SET ended_at = updated_at
WHERE phase IN ('deleted', 'failed') AND ended_at IS NULL
"""
# An ended resource has no timers and counts for nothing.
_FORGET = """
WITH gone AS (
    DELETE FROM resources WHERE id IN (
        SELECT id FROM resources
        WHERE phase IN ('deleted', 'failed') AND ended_at < now() - $1::interval
        ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING id
), requests AS (
    DELETE FROM tenant_requests WHERE resource_id IN (SELECT id FROM gone)
)
SELECT count(*) FROM gone
"""


async def forget(context: Context) -> None:
    """Forget what ended ``retention_days`` ago, and deliveries older than ``inbox_days``.

    No broker gives those back any more.
    """
    kept = timedelta(days=context.settings.retention_days) + LONGER
    remembered = timedelta(days=context.settings.inbox_days)
    async with context.database.transaction() as tx:
        await tx.execute(_NOTE)
    await _in_batches(context, lambda tx: tx.fetchval(_FORGET, kept, BATCH))
    await _in_batches(context, lambda tx: forget_old(tx, remembered))


async def _in_batches(
    context: Context, forget_some: Callable[[Connection], Awaitable[int]]
) -> None:
    """Go on until nothing is left to forget."""
    forgotten = 1
    while forgotten:
        async with context.database.transaction() as tx:
            forgotten = await forget_some(tx)
