"""The outbox in numbers."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from shared.runtime.metrics import REGISTRY
from shared.storage.database import Connection

BACKLOG = Gauge("colobus_outbox_backlog", "Messages not yet published", registry=REGISTRY)
OLDEST = Gauge("colobus_outbox_oldest_seconds", "Age of the oldest of these", registry=REGISTRY)
PUBLISHED = Counter(
    "colobus_outbox_published",
    "Messages published and confirmed; repeated: they may have been published before",
    ["delivery"],
    registry=REGISTRY,
)
FAILED = Counter("colobus_outbox_failed", "Attempts to publish that failed", registry=REGISTRY)
DEFERRED = Counter(
    "colobus_outbox_deferred",
    "Messages left in their rows because too many were in hand",
    registry=REGISTRY,
)


async def measure(connection: Connection) -> None:
    """Set the gauges."""
    counted = await connection.fetchrow(
        "SELECT count(*) AS backlog, extract(epoch FROM now() - min(created_at))::float8 AS oldest"
        " FROM outbox"
    )
    if counted is not None:
        BACKLOG.set(counted["backlog"])
        OLDEST.set(max(counted["oldest"] or 0.0, 0.0))
