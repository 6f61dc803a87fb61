"""Clouds whose own quota has refused a tenant, and who of its queue may try again when.

Rows are changed under the tenant's advisory lock, in the transaction of what they follow from.
That a metal has no free node is no matter of a tenant: see `scarce_nodes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.scheduler.gate_rows import GateRows
from services.scheduler.queues import OF_NODES, Gate
from services.scheduler.state import Goal, ResourceState
from services.scheduler.usage import lock_tenant
from shared.contract.problems import Problem
from shared.contract.resources import HOLDING_PHASES, Phase
from shared.storage import Connection

_ROWS = GateRows("full_clouds", "tenant", "cloud")
_WANTED = (
    "SELECT EXISTS (SELECT FROM resources WHERE tenant = $1 AND phase IN ('requested', 'waiting'))"
)


async def follow(tx: Connection, before: ResourceState, after: ResourceState) -> None:
    """Note what a change of one resource tells of its cloud's quota."""
    if before.resource.status.placement is None:
        return
    tenant, cloud = before.resource.tenant, before.place
    ending = after.ending
    if ending is not None and ending.goal is Goal.REQUEUE and before.ending != ending:
        if ending.reason not in OF_NODES:
            await lock_tenant(tx, tenant)
            problem = ending.problem or Problem(title="Refused")
            await _ROWS.close(tx, (tenant, cloud), problem, ending.reason)
    elif after.phase is Phase.ACTIVE and before.phase is not Phase.ACTIVE:
        started = [step.started_at for step in after.resource.status.steps if step.started_at]
        await _had_room(tx, tenant, cloud, min(started))
    elif before.phase in HOLDING_PHASES and after.phase not in HOLDING_PHASES:
        requeued = before.ending is not None and before.ending.goal is Goal.REQUEUE
        if not requeued:  # what was refused gives back only what it took itself
            await lock_tenant(tx, tenant)
            await _ROWS.allow_one(tx, (tenant, cloud))


async def _had_room(tx: Connection, tenant: str, cloud: str, since: datetime) -> None:
    # Every VM comes by here: don't lock for nothing.
    if not await _ROWS.exists(tx, (tenant, cloud)):
        return
    await lock_tenant(tx, tenant)
    wanted = await tx.fetchval(_WANTED, tenant)
    await _ROWS.had_room(tx, (tenant, cloud), since, wanted=wanted)


async def gates_of(tx: Connection, tenants: Sequence[str]) -> dict[str, dict[str, Gate]]:
    """The clouds that have refused each of these tenants: {tenant: {cloud: Gate}}."""
    gates: dict[str, dict[str, Gate]] = {tenant: {} for tenant in tenants}
    for (tenant, cloud), gate in (await _ROWS.gates(tx, tenants)).items():
        gates[tenant][cloud] = gate
    return gates


async def note_tries(tx: Connection, tried: Sequence[tuple[str, str, bool]]) -> None:
    """One was admitted for each (tenant, cloud, it was time): the next has to wait longer."""
    for tenant, cloud, timely in tried:
        await lock_tenant(tx, tenant)
        await _ROWS.note_try(tx, (tenant, cloud), timely=timely)
