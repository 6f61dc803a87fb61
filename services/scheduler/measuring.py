"""Counting what the ledger holds, for Prometheus.

Each replica counts for itself: what one of them had counted last would stay on show for ever when
another one did it from then on. So dashboards take the maximum over replicas, not the sum.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

import structlog

from services.scheduler import cloud_health, node_inventories
from services.scheduler.context import Context
from services.scheduler.ledger import utc_now
from services.scheduler.metrics import (
    CENSUS_AGE,
    HOLDINGS,
    NODES,
    NODES_FREE,
    OLDEST_WAITING,
    ORPHANS,
    RESOURCES,
    RESTING,
    TIMERS,
)
from shared.runtime.errors import TemporaryError
from shared.storage import Connection

log = structlog.get_logger()
#: How often, in seconds.
INTERVAL = 15.0


async def run(context: Context) -> NoReturn:
    """Count for ever; a database outage only delays."""
    while True:
        try:
            await measure(context)
        except TemporaryError as error:
            log.warning("measuring waits", error=str(error))
        await asyncio.sleep(INTERVAL)


async def measure(context: Context) -> None:
    """Count what the ledger holds, what the newest censuses showed, and which clouds rest."""
    async with context.database.connection() as connection:
        await _measure_resources(connection)
        await _measure_censuses(connection)
        await _measure_nodes(connection, context)
        for cloud, health in (await cloud_health.healths(connection)).items():
            RESTING.labels(cloud).set(health.rest(utc_now()) is not None)


async def _measure_resources(connection: Connection) -> None:
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


async def _measure_censuses(connection: Connection) -> None:
    censuses = await connection.fetch(
        "SELECT place, extract(epoch FROM now() - taken_at)::float AS age FROM censuses"
    )
    rows = await connection.fetch(
        "SELECT place, what, verdict, count(*) AS n FROM holdings GROUP BY 1, 2, 3"
    )
    for gauge in (CENSUS_AGE, HOLDINGS, ORPHANS):
        gauge.clear()
    for row in censuses:
        CENSUS_AGE.labels(row["place"]).set(max(0.0, row["age"]))
    for row in rows:
        HOLDINGS.labels(row["place"], row["what"]).inc(row["n"])
        if row["verdict"] is not None:
            ORPHANS.labels(row["place"], row["what"], row["verdict"]).set(row["n"])


async def _measure_nodes(connection: Connection, context: Context) -> None:
    within = node_inventories.lifetime(context.settings)
    inventories = await node_inventories.known(connection, within)
    NODES.clear()
    NODES_FREE.clear()
    for inventory in inventories.values():
        for nodes, capacity in inventory.capacities.items():
            NODES.labels(*nodes).set(capacity.total)
            NODES_FREE.labels(*nodes).set(capacity.free)
