"""The timeline: as JSON, and live as server-sent events that resume where they broke off."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest

from shared.contract.messages import CommandFailed, VmBuildStarted, VmObserved
from shared.contract.problems import Problem
from shared.contract.resources import Phase
from tests.integration.front_door.harness import (
    Door,
    EventReader,
    House,
    Neighbours,
    Tenant,
    a_resource,
)
from tests.support.bus import until

pytestmark = pytest.mark.asyncio(loop_scope="session")
LIFE = (Phase.WAITING, Phase.PROVISIONING, Phase.ACTIVE, Phase.DEPROVISIONING, Phase.DELETED)


async def _live(
    door: Door, neighbours: Neighbours, tenant: Tenant, *phases: Phase, first: int = 1, id: str = ""
) -> str:
    """Let a resource go through these phases, and wait until the timeline has them."""
    resource_id = id or a_resource(tenant, Phase.WAITING, 1).id
    for revision, phase in enumerate(phases, start=first):
        await neighbours.publish_status(a_resource(tenant, phase, revision, resource_id))
    newest = first + len(phases) - 1
    await until(lambda: _has(door, tenant, resource_id, newest))
    return resource_id


async def _has(door: Door, tenant: Tenant, resource_id: str, revision: int) -> bool:
    answer = await door.get(f"/v1/vms/{resource_id}/events", tenant)
    if answer.status != 200:
        return False
    return {*range(1, revision + 1)} <= {item["revision"] for item in answer.json["items"]}


async def test_the_timeline_of_a_resource_has_every_status(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Oldest first, in pages; each entry is the resource as it then was."""
    resource_id = await _live(door, neighbours, tenant, *LIFE)
    path = f"/v1/vms/{resource_id}/events"
    items = (await door.get(path, tenant)).json["items"]
    assert [item["revision"] for item in items] == [1, 2, 3, 4, 5]
    assert [item["phase"] for item in items] == list(LIFE)
    assert all(item["id"] == str(item["revision"]) for item in items)
    assert all(item["resource"]["status"]["phase"] == item["phase"] for item in items)
    first = (await door.get(f"{path}?limit=3", tenant)).json
    second = (await door.get(f"{path}?limit=3&cursor={first['next']}", tenant)).json
    assert first["items"] + second["items"] == items
    assert "next" not in second


async def test_a_second_delivery_makes_no_second_entry(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Redelivered or published again: once in the timeline, and positions have no gap."""
    resource = a_resource(tenant, Phase.ACTIVE, 1)
    for _ in range(3):
        await neighbours.publish_status(resource)
    other = await _live(door, neighbours, tenant, Phase.WAITING)
    await until(lambda: _has(door, tenant, resource.id, 1))
    items = (await door.get("/v1/events", tenant)).json["items"]
    assert sorted(item["resource_id"] for item in items) == sorted([resource.id, other])
    assert [item["id"] for item in items] == ["1", "2"]


async def test_positions_are_gapless_under_concurrency(
    door: Door, house: House, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Two replicas fold many messages at once: no position is missing, and none comes twice."""
    resources = [a_resource(tenant, Phase.ACTIVE, 1) for _ in range(40)]
    async with house.replica():
        await asyncio.gather(*(neighbours.publish_status(resource) for resource in resources))

        async def all_there() -> bool:
            return len((await door.get("/v1/events?limit=500", tenant)).json["items"]) == 40

        await until(all_there)
    items = (await door.get("/v1/events?limit=500", tenant)).json["items"]
    assert [int(item["id"]) for item in items] == list(range(1, 41))


async def test_a_stream_shows_what_was_and_what_comes_and_ends_with_the_resource(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Ids are revisions; the stream ends after the terminal phase was sent."""
    resource_id = await _live(door, neighbours, tenant, Phase.WAITING)
    async with door.stream(f"/v1/vms/{resource_id}/events", tenant) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        reader = EventReader(response)
        assert (await reader.event())["id"] == "1"
        for revision, phase in enumerate(LIFE[1:], start=2):
            await neighbours.publish_status(a_resource(tenant, phase, revision, resource_id))
            event = await reader.event()
            assert (event["event"], event["id"]) == ("status", str(revision))
            assert (event["data"]["phase"], event["data"]["resource_id"]) == (phase, resource_id)
        assert await reader.event() == {}


async def test_a_stream_resumes_after_the_last_event_that_was_seen(
    door: Door, house: House, neighbours: Neighbours, tenant: Tenant
) -> None:
    """On any replica; nothing is missed and nothing comes twice."""
    resource_id = await _live(door, neighbours, tenant, *LIFE[:3])
    path = f"/v1/vms/{resource_id}/events"
    async with house.replica() as other:
        for replica, last in ((door, "1"), (other, "2")):
            async with replica.stream(path, tenant, last=last) as response:
                assert (await EventReader(response).event())["id"] == str(int(last) + 1)
    await _live(door, neighbours, tenant, *LIFE[3:], first=4, id=resource_id)
    async with door.stream(path, tenant, last="5") as response:
        assert response.status == 204


async def test_an_entry_that_came_late_is_not_missed_by_who_resumes(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Messages may overtake each other: who has seen 3 only still gets 2."""
    resource_id = a_resource(tenant, Phase.WAITING, 1).id
    for revision in (1, 3, 2):
        await neighbours.publish_status(a_resource(tenant, Phase.WAITING, revision, resource_id))

        async def there(revision: int = revision) -> bool:
            answer = await door.get(f"/v1/vms/{resource_id}/events", tenant)
            return revision in {item["revision"] for item in answer.json.get("items", ())}

        await until(there)
    path = f"/v1/vms/{resource_id}/events"
    async with door.stream(path, tenant, last="3") as response:
        assert (await EventReader(response).event())["id"] == "2"
    async with door.stream(path, tenant, last="1") as response:
        reader = EventReader(response)
        assert [(await reader.event())["id"] for _ in range(2)] == ["3", "2"]


async def test_the_tenants_stream_has_positions_and_nobody_elses_events(
    door: Door, neighbours: Neighbours, tenant: Tenant, other_tenant: Tenant
) -> None:
    """Without Last-Event-ID it begins now; with it, after that position."""
    old = await _live(door, neighbours, tenant, Phase.ACTIVE)
    async with door.stream("/v1/events", tenant) as live, AsyncExitStack() as stack:
        reader = EventReader(live)
        assert "retry" in await reader.block()
        assert await reader.block() == {"id": "1"}, "one that breaks off now resumes from here"
        await _live(door, neighbours, other_tenant, Phase.ACTIVE)
        new = await _live(door, neighbours, tenant, Phase.WAITING)
        event = await reader.event()
        assert (event["id"], event["data"]["resource_id"]) == ("2", new)
        assert event["data"]["id"] == "2"
        resumed = await stack.enter_async_context(door.stream("/v1/events", tenant, last="0"))
        reader = EventReader(resumed)
        events = [await reader.event() for _ in range(2)]
        assert [event["data"]["resource_id"] for event in events] == [old, new]


async def test_progress_is_shown_live_without_an_id_or_a_secret(
    door: Door, neighbours: Neighbours, tenant: Tenant, other_tenant: Tenant
) -> None:
    """A worker's events reach who watches right now, with harmless fields only."""
    resource_id = await _live(door, neighbours, tenant, Phase.PROVISIONING)
    async with door.stream(f"/v1/vms/{resource_id}/events", tenant) as response:
        reader = EventReader(response)
        assert (await reader.event())["event"] == "status"
        await neighbours.publish_event(other_tenant, "vm-other", VmBuildStarted(server_id="s"))
        await neighbours.publish_event(
            tenant, resource_id, VmBuildStarted(server_id="secret-id"), step="server", attempt=2
        )
        event = await reader.event()
        assert (event["event"], event["id"]) == ("progress", None)
        data = event["data"]
        assert (data["event"], data["step"], data["attempt"]) == ("VmBuildStarted", "server", 2)
        assert "secret-id" not in str(data)
        observed = VmObserved(
            observed_at=datetime.now(UTC), server_status="BUILD", addresses=("10.0.0.1",)
        )
        await neighbours.publish_event(tenant, resource_id, observed)
        assert (await reader.event())["data"]["data"] == {"server_status": "BUILD"}
        failed = CommandFailed(
            command="ProvisionVm",
            problem=Problem(title="x", reason="no_valid_host", detail="host-17 is full"),
            retryable=True,
        )
        await neighbours.publish_event(tenant, resource_id, failed)
        assert (await reader.event())["data"]["data"] == {
            "command": "ProvisionVm",
            "retryable": True,
            "reason": "no_valid_host",
        }


async def test_a_silent_stream_is_kept_alive(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Comments tell proxies and clients that it lives."""
    async with door.stream("/v1/events", tenant) as response:
        reader = EventReader(response)
        assert "retry" in await reader.block()
        assert "id" in await reader.block()
        assert await reader.block() == {"": "still here"}


async def test_streams_are_bounded_per_tenant(
    house: House, tenant: Tenant, other_tenant: Tenant
) -> None:
    """One too many is 429; others are not affected; a closed one makes room."""
    async with house.replica(max_streams="2") as door, AsyncExitStack() as stack:
        first = await stack.enter_async_context(door.stream("/v1/events", tenant))
        await stack.enter_async_context(door.stream("/v1/events", tenant))
        async with door.stream("/v1/events", tenant) as refused:
            assert (refused.status, "Retry-After" in refused.headers) == (429, True)
        async with door.stream("/v1/events", other_tenant) as other:
            assert other.status == 200
        first.close()

        async def room() -> bool:
            async with door.stream("/v1/events", tenant) as response:
                return response.status == 200

        await until(room)


@pytest.mark.parametrize("last", ["-1", "x", "1.5", "9" * 30])
async def test_an_absurd_last_event_id_is_refused(door: Door, tenant: Tenant, last: str) -> None:
    """400, naming the header."""
    async with door.stream("/v1/events", tenant, last=last) as response:
        problem = await response.json(content_type=None)
        assert (response.status, problem["errors"][0]["parameter"]) == (400, "Last-Event-ID")
