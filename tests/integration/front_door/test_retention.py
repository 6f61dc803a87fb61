"""What ended long ago is forgotten, with its timeline; the living never are."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.front_door import retention
from shared.contract.resources import Phase
from tests.integration.front_door.harness import Door, House, Neighbours, Tenant, a_resource
from tests.support.bus import until

pytestmark = pytest.mark.asyncio(loop_scope="session")
KEPT = timedelta(days=30)


async def test_what_ended_long_ago_is_forgotten(
    house: House,
    door: Door,
    neighbours: Neighbours,
    tenant: Tenant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Deleted or failed: gone after its time, in however many batches; all others stay."""
    monkeypatch.setattr(retention, "BATCH", 1)
    ends = [a_resource(tenant, phase, 5) for phase in (Phase.DELETED, Phase.FAILED) * 2]
    lives = [a_resource(tenant, phase, 5) for phase in (Phase.ACTIVE, Phase.WAITING)]
    for resource in [*ends, *lives]:
        await neighbours.publish_status(resource)
    count = "SELECT count(*) FROM {} WHERE tenant = $1"

    async def rows(table: str) -> int:
        return int((await house.sql(count.format(table), tenant.name))[0][0])

    async def shown() -> bool:
        return await rows("resources") == await rows("events") == 6

    await until(shown)
    age = "UPDATE resources SET updated_at = now() - $2::interval WHERE tenant = $1"
    await house.sql(age, tenant.name, timedelta(days=29))
    await retention.forget_resources(door.parts.database, KEPT)
    assert await shown()
    await house.sql(age, tenant.name, timedelta(days=31))
    await retention.forget_resources(door.parts.database, KEPT)
    assert await rows("resources") == await rows("events") == 2
    assert [(await door.get(f"/v1/vms/{one.id}", tenant)).status for one in ends] == [404] * 4
    assert [(await door.get(f"/v1/vms/{one.id}", tenant)).status for one in lives] == [200] * 2
