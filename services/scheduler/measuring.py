"""Counting what the ledger holds, for Prometheus."""

from __future__ import annotations

from services.scheduler.context import Context
from services.scheduler.metrics import OLDEST_WAITING, RESOURCES, TIMERS

#: How often, in seconds.
INTERVAL = 15.0


async def measure(context: Context) -> None:
    """Count what the ledger holds."""
    async with context.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT kind, tenant, phase, count(*) AS n FROM resources"
            " WHERE phase NOT IN ('deleted', 'failed') GROUP BY 1, 2, 3"
        )
        timers = await connection.fetchval("SELECT count(*) FROM timers")
        oldest = await connection.fetchval(
            "SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float"
            " FROM resources WHERE phase IN ('requested', 'waiting')"
        )
    RESOURCES.clear()
    for row in rows:
        RESOURCES.labels(row["kind"], row["tenant"], row["phase"]).set(row["n"])
    TIMERS.set(timers)
    OLDEST_WAITING.set(oldest)
