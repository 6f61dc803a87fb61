"""What the operator sees of the ledger in Prometheus."""

from __future__ import annotations

from prometheus_client import Gauge

from services.scheduler.context import Context
from shared.runtime.metrics import REGISTRY

#: How often the ledger is counted, in seconds.
INTERVAL = 15.0

RESOURCES = Gauge(
    "colobus_resources",
    "Resources in the ledger that have not ended, as the replica that counted last saw them",
    ["kind", "tenant", "phase"],
    registry=REGISTRY,
)
TIMERS = Gauge("colobus_timers", "Timers that are set", registry=REGISTRY)
OLDEST_WAITING = Gauge(
    "colobus_oldest_waiting_seconds", "Age of the oldest request that waits", registry=REGISTRY
)


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
