"""Over quota: ours, and the cloud's own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

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


async def test_of_several_at_once_for_the_clouds_last_place_one_is_served_and_the_others_wait(
    environment: dict[str, str], cloud: Cloud, bigtop: Client
) -> None:
    """Nova may take them all, and only then see that there is no room; that is no failure."""
    project = environment["DEVCLOUD_PROJECT_ID_BIGTOP"]
    usual = cloud.admin.compute.get_quota_set(project).instances
    in_use = len(list(cloud.admin.compute.servers(all_projects=True, project_id=project)))
    cloud.admin.compute.update_quota_set(project, instances=in_use + 1)
    try:
        asked = await asyncio.gather(*(bigtop.create_vm(SMALL) for _ in range(4)))
        settled = await eventually(
            lambda: _one_served(bigtop, asked), within=300, what="one is served, all others wait"
        )
        for vm in settled:
            if vm.status.phase is Phase.WAITING:
                assert vm.status.reason is Reason.QUOTA_EXCEEDED
                assert "Quota exceeded" in (vm.status.message or "")
    finally:
        cloud.admin.compute.update_quota_set(project, instances=usual)
    for vm in asked:
        await bigtop.delete(vm.id)
    for vm in asked:
        await bigtop.wait(vm.id, Phase.DELETED, timeout=120)


async def _one_served(client: Client, asked: Sequence[Resource]) -> list[Resource] | None:
    seen = [await client.get(vm.id) for vm in asked]
    phases = Counter(vm.status.phase for vm in seen)
    assert not phases[Phase.FAILED], [vm.status for vm in seen]
    return seen if phases == {Phase.ACTIVE: 1, Phase.WAITING: len(asked) - 1} else None
