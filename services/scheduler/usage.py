"""What each tenant holds, kept with every change of phase or size; and what each cloud builds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from services.scheduler.estimates import Return
from services.scheduler.growing import demand
from shared.contract.resources import HOLDING_PHASES, Resource
from shared.storage import Connection

#: How many of a tenant's leases are looked at: more than the start of an exact position depends on.
_MOST = 200
_ADMISSION = 0x434F4C4F  # "COLO": the advisory lock of admission
# By the leases' timers, so that no state is read.
_RETURNS = """
SELECT tenant, demand, at FROM (
    SELECT id, tenant, demand, at, row_number() OVER (PARTITION BY tenant ORDER BY at, id) AS place
    FROM (
        SELECT r.id, r.tenant, r.demand,
            CASE WHEN r.phase = 'deprovisioning' THEN r.updated_at ELSE t.due_at END AS at
        FROM resources r LEFT JOIN timers t ON t.resource_id = r.id AND t.name = 'lease'
        WHERE r.tenant = ANY($1) AND r.phase IN ('provisioning', 'active', 'deprovisioning')
    ) AS held WHERE at IS NOT NULL
) AS returns WHERE place <= $2 ORDER BY at, id
"""


async def lock_tenant(tx: Connection, tenant: str) -> None:
    """Take the tenant's lock until the end of the transaction; again is no harm."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", tenant)


async def move_usage(
    tx: Connection, tenant: str, changed: Iterable[tuple[Resource, Resource]]
) -> None:
    """Add or take away what each of the tenant's (before, after) begins or ceases to hold."""
    moved: Counter[str] = Counter()
    for before, after in changed:
        moved.update(_held(after))
        moved.subtract(_held(before))
    names = sorted(name for name, amount in moved.items() if amount)
    if not names:
        return
    await lock_tenant(tx, tenant)
    await tx.execute(
        "INSERT INTO usage (tenant, name, amount)"
        " SELECT $1, name, amount FROM unnest($2::text[], $3::bigint[]) AS moved (name, amount)"
        " ON CONFLICT (tenant, name) DO UPDATE SET amount = usage.amount + EXCLUDED.amount",
        *(tenant, names, [moved[name] for name in names]),
    )


def _held(resource: Resource) -> dict[str, int]:
    return demand(resource) if resource.status.phase in HOLDING_PHASES else {}


async def lock_admission(tx: Connection) -> None:
    """Be the only one who lets tenants hold more, until the end of the transaction.

    Taken before any other lock.
    """
    await tx.execute("SELECT pg_advisory_xact_lock($1)", _ADMISSION)


async def usage_of(tx: Connection, tenants: Sequence[str]) -> dict[str, dict[str, int]]:
    """What each of these tenants holds: {tenant: {quota name: amount}}."""
    rows = await tx.fetch(
        "SELECT tenant, name, amount FROM usage WHERE tenant = ANY($1)", list(tenants)
    )
    used: dict[str, dict[str, int]] = {tenant: {} for tenant in tenants}
    for row in rows:
        used[row["tenant"]][row["name"]] = row["amount"]
    return used


async def returns_of(tx: Connection, tenants: Sequence[str]) -> dict[str, list[Return]]:
    """What each of these tenants will give back by itself, the earliest `_MOST` first."""
    returns: dict[str, list[Return]] = {tenant: [] for tenant in tenants}
    if tenants:
        for row in await tx.fetch(_RETURNS, list(tenants), _MOST):
            returns[row["tenant"]].append(Return(row["at"], row["demand"]))
    return returns


async def building_on(tx: Connection) -> dict[str, int]:
    """How many resources are being built on each cloud."""
    rows = await tx.fetch(
        "SELECT cloud, count(*) AS building FROM resources"
        " WHERE phase = 'provisioning' GROUP BY cloud"
    )
    return {row["cloud"]: row["building"] for row in rows}
