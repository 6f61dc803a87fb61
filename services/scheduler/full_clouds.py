"""Clouds whose own quota has refused a tenant, and who of its queue may try again when.

For each resource that ends there, and each that found room, one may try; else one after a while.
So the head of the queue is served as soon as it can be, and the others don't storm the cloud.
Rows are changed under the tenant's advisory lock, in the transaction of what they follow from.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.scheduler.queues import Gate
from services.scheduler.state import Goal, ResourceState
from services.scheduler.usage import lock_tenant
from shared.contract.problems import Problem, Reason
from shared.contract.resources import HOLDING_PHASES, Phase
from shared.storage import Connection

#: How long nobody tries when nothing has ended, in seconds: longer each time, up to the last.
WAITS = (5, 10, 20, 40, 60)
#: A refusal that nobody has come back to for so long says nothing any more.
STALE = timedelta(seconds=120)


async def follow(tx: Connection, before: ResourceState, after: ResourceState) -> None:
    """Note what a change of one resource tells of its cloud's quota."""
    if before.resource.status.placement is None:
        return
    tenant, cloud = before.resource.tenant, before.place
    ending = after.ending
    if ending is not None and ending.goal is Goal.REQUEUE and before.ending != ending:
        await _refused(tx, tenant, cloud, ending.problem or Problem(title="Refused"), ending.reason)
    elif after.phase is Phase.ACTIVE and before.phase is not Phase.ACTIVE:
        started = [step.started_at for step in after.resource.status.steps if step.started_at]
        await _had_room(tx, tenant, cloud, min(started))
    elif before.phase in HOLDING_PHASES and after.phase not in HOLDING_PHASES:
        requeued = before.ending is not None and before.ending.goal is Goal.REQUEUE
        if not requeued:  # what was refused gives back only what it took itself
            await _allow_one(tx, tenant, cloud)


async def _refused(
    tx: Connection, tenant: str, cloud: str, problem: Problem, reason: Reason
) -> None:
    """Close the gate; if it is closed already, what it allows stays allowed."""
    await lock_tenant(tx, tenant)
    await tx.execute(
        "DELETE FROM full_clouds"
        " WHERE tenant = $1 AND cloud = $2 AND not_before < now() - $3::interval",
        *(tenant, cloud, STALE),
    )
    await tx.execute(
        "INSERT INTO full_clouds AS f (tenant, cloud, reason, words, not_before)"
        " VALUES ($1, $2, $3, $4, now() + $5::interval) ON CONFLICT (tenant, cloud) DO UPDATE"
        " SET reason = EXCLUDED.reason, words = EXCLUDED.words,"
        " not_before = greatest(f.not_before, EXCLUDED.not_before)",
        *(tenant, cloud, reason.value, problem.detail or problem.title),
        timedelta(seconds=WAITS[0]),
    )


async def _had_room(tx: Connection, tenant: str, cloud: str, since: datetime) -> None:
    """There was room for what was begun ``since``, after the refusal: perhaps there is more.

    When nobody waits, the refusal is history.
    """
    # Every VM comes by here, and hardly ever is there a refusal: don't lock for nothing.
    refused = "SELECT EXISTS (SELECT FROM full_clouds WHERE tenant = $1 AND cloud = $2)"
    if not await tx.fetchval(refused, tenant, cloud):
        return
    await lock_tenant(tx, tenant)
    await tx.execute(
        "DELETE FROM full_clouds WHERE tenant = $1 AND cloud = $2 AND closed_at < $3 AND NOT EXISTS"
        " (SELECT FROM resources WHERE tenant = $1 AND phase IN ('requested', 'waiting'))",
        *(tenant, cloud, since),
    )
    await tx.execute(
        "UPDATE full_clouds SET tries = tries + 1, waits = 0"
        " WHERE tenant = $1 AND cloud = $2 AND closed_at < $3",
        *(tenant, cloud, since),
    )


async def _allow_one(tx: Connection, tenant: str, cloud: str) -> None:
    await lock_tenant(tx, tenant)
    await tx.execute(
        "UPDATE full_clouds SET tries = tries + 1 WHERE tenant = $1 AND cloud = $2", tenant, cloud
    )


async def gates_of(tx: Connection, tenants: Sequence[str]) -> dict[str, dict[str, Gate]]:
    """The clouds that have refused each of these tenants: {tenant: {cloud: Gate}}."""
    rows = await tx.fetch(
        "SELECT * FROM full_clouds WHERE tenant = ANY($1) AND not_before > now() - $2::interval",
        *(list(tenants), STALE),
    )
    gates: dict[str, dict[str, Gate]] = {tenant: {} for tenant in tenants}
    for row in rows:
        gates[row["tenant"]][row["cloud"]] = Gate(
            Reason(row["reason"]), row["words"], row["not_before"], row["tries"]
        )
    return gates


async def note_tries(tx: Connection, tried: Sequence[tuple[str, str, bool]]) -> None:
    """One was admitted for each (tenant, cloud, it was time): the next has to wait longer."""
    for tenant, cloud, timely in tried:
        await lock_tenant(tx, tenant)
        if not timely:
            await tx.execute(
                "UPDATE full_clouds SET tries = greatest(0, tries - 1)"
                " WHERE tenant = $1 AND cloud = $2",
                *(tenant, cloud),
            )
            continue
        await tx.execute(
            "UPDATE full_clouds SET waits = waits + 1,"
            " not_before = now() + make_interval(secs => ($3::float[])[least(waits + 2, $4)])"
            " WHERE tenant = $1 AND cloud = $2",
            *(tenant, cloud, list(map(float, WAITS)), len(WAITS)),
        )
