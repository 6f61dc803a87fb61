"""Over quota: ours, and the cloud's own."""

from __future__ import annotations

import pytest

from colobus.client import Client
from colobus.models import CreateVm, Phase, Reason, Resource
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually

#: VMs wait for each other here.
pytestmark = pytest.mark.timeout(1500)
SMALL = CreateVm(image="debian-12", flavor="small")


async def _until_waiting(client: Client, vm: str) -> Resource:
    async def waiting() -> Resource | None:
        seen = await client.get(vm)
        return seen if seen.status.phase is Phase.WAITING else None

    return await eventually(waiting, what="it waits")


async def test_over_quota_waits_with_reason_and_position(cloud: Cloud, openlab: Client) -> None:
    """Served in the order of arrival when something is deleted."""
    held = [await openlab.create_vm(SMALL) for _ in range(2)]
    for vm in held:
        await openlab.wait(vm.id, timeout=120)
    third, fourth = await openlab.create_vm(SMALL), await openlab.create_vm(SMALL)
    for vm, position in ((third, 1), (fourth, 2)):
        waiting = await _until_waiting(openlab, vm.id)
        assert waiting.status.reason is Reason.QUOTA_EXCEEDED
        assert waiting.status.queue is not None
        assert waiting.status.queue.position == position
    quota = await openlab.quota()
    assert (quota.limits["vms"], quota.used["vms"], quota.waiting) == (2, 2, 2)
    await openlab.delete(held[0].id)
    await openlab.wait(third.id, timeout=120)

    async def moved_up() -> bool:
        queue = (await openlab.get(fourth.id)).status.queue
        return queue is not None and queue.position == 1

    await eventually(moved_up, what="the fourth is next")
    for vm in (held[1], third, fourth):
        await openlab.delete(vm.id)
        await openlab.wait(vm.id, Phase.DELETED, timeout=120)
    left = {vm.id: cloud.holds(vm.id) for vm in (*held, third, fourth)}
    assert {vm: one for vm, one in left.items() if one.counts != NOTHING} == {}


async def test_the_clouds_own_quota_makes_it_wait_too(
    environment: dict[str, str], cloud: Cloud, bigtop: Client
) -> None:
    """Nova refuses: it is undone, waits with Nova's words, and is served when something goes."""
    project = environment["DEVCLOUD_PROJECT_ID_BIGTOP"]
    usual = cloud.admin.compute.get_quota_set(project).instances
    first = await bigtop.create_vm(SMALL)
    await bigtop.wait(first.id, timeout=120)
    in_use = len(list(cloud.admin.compute.servers(all_projects=True, project_id=project)))
    cloud.admin.compute.update_quota_set(project, instances=in_use)
    try:
        second = await bigtop.create_vm(SMALL)
        waiting = await _until_waiting(bigtop, second.id)
        assert waiting.status.reason is Reason.QUOTA_EXCEEDED
        assert "Quota exceeded" in (waiting.status.message or "")
        assert cloud.holds(second.id).counts == NOTHING
        await bigtop.delete(first.id)
        await bigtop.wait(second.id, timeout=180)
    finally:
        cloud.admin.compute.update_quota_set(project, instances=usual)
    await bigtop.delete(second.id)
    await bigtop.wait(second.id, Phase.DELETED, timeout=120)
