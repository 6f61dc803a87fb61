"""Questions that the scheduler answers for the front door: quota and capacity."""

from __future__ import annotations

from datetime import datetime

from services.scheduler import cloud_health
from services.scheduler.admitting import candidates
from services.scheduler.cloud_health import Health
from services.scheduler.context import Context
from services.scheduler.ledger import utc_now
from services.scheduler.usage import usage_of
from shared.bus import QueryHandlers
from shared.contract.messages import (
    CapacityReported,
    CloudCapacity,
    GetCapacity,
    GetQuota,
    Message,
    QuotaReported,
)
from shared.contract.resources import Sort
from shared.runtime.errors import PermanentError
from shared.runtime.tenants import Tenant


def _tenant(name: str, context: Context) -> Tenant:
    tenant = context.tenants.by_name(name)
    if tenant is None:
        raise PermanentError(f"unknown tenant {name!r}", reason=None)
    return tenant


async def get_quota(name: str, query: GetQuota, context: Context) -> Message:
    """What the tenant may hold, and holds."""
    del query
    tenant = _tenant(name, context)
    async with context.database.connection() as connection:
        used = await usage_of(connection, [tenant.name])
        waiting = await connection.fetchval(
            "SELECT count(*) FROM resources"
            " WHERE phase IN ('requested', 'waiting') AND tenant = $1",
            tenant.name,
        )
    return QuotaReported(limits=tenant.quota, used=used[tenant.name], waiting=waiting)


def _resting_until(health: Health | None) -> datetime | None:
    """None, too, when the rest is over: what comes next will try the cloud."""
    until = health.resting_until if health is not None else None
    return until if until is not None and until > utc_now() else None


async def get_capacity(name: str, query: GetCapacity, context: Context) -> Message:
    """What the tenant's clouds can take now."""
    del query
    tenant = _tenant(name, context)
    async with context.database.connection() as connection:
        clouds = await candidates(connection, context)
        healths = await cloud_health.healths(connection)
        waiting = await connection.fetchval(
            "SELECT count(*) FROM resources WHERE phase IN ('requested', 'waiting')"
        )
    reported = tuple(
        CloudCapacity(
            cloud=name,
            building=clouds[name].building,
            limit=clouds[name].limit,
            recent_failures=clouds[name].recent_failures,
            resting_until=_resting_until(healths.get(name)),
        )
        for sort in Sort
        for name in context.tenants.places(sort, tenant)
    )
    return CapacityReported(clouds=reported, waiting=waiting)


QUERY_HANDLERS: QueryHandlers[Context] = {
    GetQuota: get_quota,
    GetCapacity: get_capacity,
}
