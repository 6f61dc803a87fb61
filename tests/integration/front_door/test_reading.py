"""Reading: one resource, pages of them, conditions, long polls; and nobody else's."""

from __future__ import annotations

import asyncio

import pytest

from shared.contract import topology
from shared.contract.outgoing import OutgoingMessage
from shared.contract.resources import Phase, Resource
from tests.integration.front_door.harness import (
    Door,
    House,
    Neighbours,
    Tenant,
    a_resource,
)
from tests.support.bus import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _shown(door: Door, tenant: Tenant, *resources: Resource) -> None:
    """Wait until the read model shows exactly these revisions."""

    async def there() -> bool:
        for resource in resources:
            answer = await door.get(f"/v1/vms/{resource.id}", tenant)
            if answer.status != 200 or answer.json["revision"] < resource.revision:
                return False
        return True

    await until(there)


async def test_the_newest_status_is_shown_whatever_the_order(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """An older message, or the same once more, changes nothing that is shown."""
    newest = a_resource(tenant, Phase.ACTIVE, 3, name="three", labels={"a": "b"})
    for revision in (2, 3, 3, 1):
        resource = (
            newest if revision == 3 else a_resource(tenant, Phase.WAITING, revision, newest.id)
        )
        await neighbours.publish_status(resource)
    await until(lambda: _timeline_has(door, tenant, newest.id, 3))
    answer = await door.get(f"/v1/vms/{newest.id}", tenant)
    assert answer.headers["ETag"] == '"3"'
    assert (answer.json["name"], answer.json["status"]["phase"]) == ("three", "active")


async def _timeline_has(door: Door, tenant: Tenant, resource_id: str, count: int) -> bool:
    answer = await door.get(f"/v1/vms/{resource_id}/events", tenant)
    return answer.status == 200 and len(answer.json["items"]) == count


async def test_a_known_revision_is_not_sent_again(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """If-None-Match with the newest ETag: 304 without a body; with an older one: 200."""
    resource = a_resource(tenant, Phase.ACTIVE, 7)
    await neighbours.publish_status(resource)
    await _shown(door, tenant, resource)
    path = f"/v1/vms/{resource.id}"
    for tag in ('"7"', 'W/"7"', '"6", "7"', "*"):
        answer = await door.get(path, tenant, headers={"If-None-Match": tag})
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", '"7"')
    assert (await door.request("HEAD", path, tenant)).headers["ETag"] == '"7"'
    for tag in ('"6"', "nonsense", '""'):
        assert (await door.get(path, tenant, headers={"If-None-Match": tag})).status == 200


async def test_a_long_poll_ends_with_the_next_revision(
    door: Door, house: House, neighbours: Neighbours, tenant: Tenant
) -> None:
    """`Prefer: wait` with If-None-Match waits for the change, on every replica."""
    resource = a_resource(tenant, Phase.PROVISIONING, 1)
    await neighbours.publish_status(resource)
    await _shown(door, tenant, resource)
    headers = {"If-None-Match": '"1"', "Prefer": "wait=30"}
    async with house.replica() as other:
        polls = [
            asyncio.create_task(replica.get(f"/v1/vms/{resource.id}", tenant, headers=headers))
            for replica in (door, other)
        ]
        topic = f"resource {resource.id}"
        await until(
            lambda: all(replica.parts.wakeups.has_listeners(topic) for replica in (door, other))
        )
        await neighbours.publish_status(a_resource(tenant, Phase.ACTIVE, 2, resource.id))
        for answer in await asyncio.gather(*polls):
            assert (answer.status, answer.json["revision"]) == (200, 2)
            assert answer.headers["Preference-Applied"] == "wait=30"


async def test_a_long_poll_without_a_change_ends_with_304(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """After the time that was asked for."""
    resource = a_resource(tenant, Phase.ACTIVE, 1)
    await neighbours.publish_status(resource)
    await _shown(door, tenant, resource)
    headers = {"If-None-Match": '"1"', "Prefer": "wait=1"}
    answer = await door.get(f"/v1/vms/{resource.id}", tenant, headers=headers)
    assert (answer.status, answer.headers["Preference-Applied"]) == (304, "wait=1")


async def test_pages_are_complete_and_stable_while_others_are_made(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Newest first; every resource exactly once, though a new one appears between two pages."""
    resources = [a_resource(tenant, Phase.ACTIVE, 1) for _ in range(5)]
    for resource in resources:
        await neighbours.publish_status(resource)
    await _shown(door, tenant, *resources)
    seen: list[str] = []
    path: str | None = "/v1/vms?limit=2&phase=active"
    while path:
        answer = await door.get(path, tenant)
        seen += [item["id"] for item in answer.json["items"]]
        link = answer.headers.get("Link")
        assert ("next" in answer.json) == (link is not None)
        path = link.partition(">")[0].removeprefix("<") if link else None
        late = a_resource(tenant, Phase.ACTIVE, 1)
        await neighbours.publish_status(late)
        await _shown(door, tenant, late)
    assert seen == [resource.id for resource in reversed(resources)]


async def test_lists_are_filtered_by_phase_labels_and_name(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """All filters hold together; what is deleted is shown only when asked for."""
    active = a_resource(tenant, Phase.ACTIVE, 1, name="a", labels={"ci": "zuul", "n": "1"})
    failed = a_resource(tenant, Phase.FAILED, 1, name="b", labels={"ci": "zuul", "n": "a=b"})
    deleted = a_resource(tenant, Phase.DELETED, 1, name="a", labels={"ci": "jenkins"})
    for resource in (active, failed, deleted):
        await neighbours.publish_status(resource)
    await _shown(door, tenant, active, failed, deleted)
    table: dict[str, list[Resource]] = {
        "": [active, failed],
        "?phase=deleted": [deleted],
        "?phase=active,failed": [active, failed],
        "?phase=active&phase=deleted": [active, deleted],
        "?label=ci=zuul": [active, failed],
        "?label=ci=zuul&label=n=1": [active],
        "?label=n=a%3Db": [failed],
        "?label=ci=nobody": [],
        "?name=a": [active],
        "?name=a&phase=deleted": [deleted],
        "?name=a&label=ci=jenkins": [],
    }
    for kind in ("vms", "resources"):
        for query, expected in table.items():
            answer = await door.get(f"/v1/{kind}{query}", tenant)
            ids = {item["id"] for item in answer.json["items"]}
            assert ids == {resource.id for resource in expected}, query


async def test_another_tenants_resource_is_404_everywhere(
    door: Door, neighbours: Neighbours, tenant: Tenant, other_tenant: Tenant
) -> None:
    """Just like an id that nobody has, whatever is asked of it."""
    resource = a_resource(other_tenant, Phase.ACTIVE, 1)
    await neighbours.publish_status(resource)
    await _shown(door, other_tenant, resource)
    nobodys = a_resource(tenant, Phase.ACTIVE, 1).id
    answers = []
    for resource_id in (resource.id, nobodys, "vm-x", "machine-01m84w2gcr23w8tt4199p3mpmy", "%00"):
        path = f"/v1/vms/{resource_id}"
        for method, place, body in (
            ("GET", path, None),
            ("DELETE", path, None),
            ("PATCH", path, {"labels": {}}),
            ("POST", f"{path}/extend", {"ttl": 60}),
            ("POST", f"{path}/reboot", None),
            ("GET", f"{path}/events", None),
        ):
            answer = await door.request(method, place, tenant, json=body)
            assert answer.status == 404, (method, place)
            answers.append({**answer.problem, "instance": None})
    assert all(answer == answers[0] for answer in answers)
    assert (await door.get("/v1/vms", tenant)).json["items"] == []


async def test_a_message_cannot_move_a_resource_to_another_tenant(
    door: Door, house: House, neighbours: Neighbours, tenant: Tenant, other_tenant: Tenant
) -> None:
    """An id belongs to whom it was first shown to."""
    mine = a_resource(tenant, Phase.ACTIVE, 1)
    await neighbours.publish_status(mine)
    await _shown(door, tenant, mine)
    await neighbours.publish_status(a_resource(other_tenant, Phase.DELETED, 2, mine.id))
    marker = a_resource(tenant, Phase.ACTIVE, 1)
    await neighbours.publish_status(marker)
    await _shown(door, tenant, marker)
    assert (await door.get(f"/v1/vms/{mine.id}", tenant)).json["revision"] == 1
    assert (await door.get(f"/v1/vms/{mine.id}", other_tenant)).status == 404


async def test_garbage_on_the_status_queue_stops_nothing(
    door: Door, house: House, neighbours: Neighbours, tenant: Tenant
) -> None:
    """It is dead-lettered with its reason; what comes after it is shown."""
    for number, body in enumerate((b"garbage", b"{}", b"\xff\xfe")):
        message = OutgoingMessage(
            topology.STATUS, f"{tenant.name}.vm.active", f"{tenant.name}-{number}", "x", body
        )
        await neighbours.bus.publish(message)
    resource = a_resource(tenant, Phase.ACTIVE, 1)
    await neighbours.publish_status(resource)
    await _shown(door, tenant, resource)
