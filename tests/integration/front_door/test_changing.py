"""Delete, extend, update and power: requests about a resource that is there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.contract.resources import Operation, OperationState, Phase, Resource, Status, Verb
from tests.integration.front_door.harness import Door, Neighbours, Tenant, a_resource
from tests.support.bus import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _existing(
    door: Door, neighbours: Neighbours, tenant: Tenant, phase: Phase, revision: int = 1, **more: Any
) -> Resource:
    resource = a_resource(tenant, phase, revision, **more)
    await neighbours.publish_status(resource)

    async def there() -> bool:
        answer = await door.get(f"/v1/vms/{resource.id}", tenant)
        return answer.status == 200 and bool(answer.json["revision"] == revision)

    await until(there)
    return resource


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.DELETED])
async def test_delete_is_asked_for_in_every_phase(
    door: Door, neighbours: Neighbours, tenant: Tenant, phase: Phase
) -> None:
    """202 with the resource as it is now, and one request to the scheduler each time."""
    resource = await _existing(door, neighbours, tenant, phase)
    for count in (1, 2):
        answer = await door.request("DELETE", f"/v1/vms/{resource.id}", tenant)
        assert (answer.status, answer.json["id"]) == (202, resource.id)
        requests = await neighbours.requests(tenant, count)
        assert (requests[-1].verb, requests[-1].resource_id) == (Verb.DELETE, resource.id)


async def test_what_is_deleted_can_be_deleted_again(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """202 with the resource; nobody is bothered with it."""
    resource = await _existing(door, neighbours, tenant, Phase.DELETED)
    answer = await door.request("DELETE", f"/v1/vms/{resource.id}", tenant)
    assert (answer.status, answer.json["status"]["phase"]) == (202, "deleted")
    await door.create(tenant)
    assert [request.verb for request in await neighbours.requests(tenant)] == [Verb.CREATE]


async def test_if_match_guards_a_delete(door: Door, neighbours: Neighbours, tenant: Tenant) -> None:
    """412 for another revision than the newest, and nothing is done."""
    resource = await _existing(door, neighbours, tenant, Phase.ACTIVE, revision=4)
    path = f"/v1/vms/{resource.id}"
    stale = await door.request("DELETE", path, tenant, headers={"If-Match": '"3"'})
    assert (stale.status, stale.problem["reason"]) == (412, "revision_changed")
    fresh = await door.request("DELETE", path, tenant, headers={"If-Match": '"4"'})
    assert fresh.status == 202
    assert len(await neighbours.requests(tenant)) == 1


async def test_leases_are_extended_and_labels_replaced(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Each is a request with what was asked for and nothing else."""
    resource = await _existing(door, neighbours, tenant, Phase.ACTIVE)
    path = f"/v1/vms/{resource.id}"
    assert (await door.post(f"{path}/extend", tenant, {"ttl": 60})).status == 202
    bodies: tuple[Any, ...] = ({"labels": {"a": "b"}}, {"labels": {}}, {"lease": {"ttl": 90}})
    for body in bodies:
        assert (await door.request("PATCH", path, tenant, json=body)).status == 202
    asked = [
        (request.verb, request.labels, request.lease_ttl, request.spec)
        for request in await neighbours.requests(tenant, 4)
    ]
    assert asked == [
        (Verb.EXTEND, None, 60, {}),
        (Verb.UPDATE, {"a": "b"}, None, {}),
        (Verb.UPDATE, {}, None, {}),
        (Verb.UPDATE, None, 90, {}),
    ]


@pytest.mark.parametrize("verb", ["reboot", "stop", "start"])
async def test_power_is_an_operation_that_the_answer_names(
    door: Door, neighbours: Neighbours, tenant: Tenant, verb: str
) -> None:
    """Operations that are there already stay in the answer beside it."""
    before = Operation(id="op-1", verb=Verb.START, state=OperationState.DONE)
    status = Status(phase=Phase.ACTIVE, operations=(before,))
    resource = await _existing(door, neighbours, tenant, Phase.ACTIVE, status=status)
    answer = await door.post(f"/v1/vms/{resource.id}/{verb}", tenant)
    (first, asked) = answer.json["status"]["operations"]
    assert (answer.status, first["id"], asked["verb"]) == (202, "op-1", verb)
    assert asked["state"] == "requested"
    (request,) = await neighbours.requests(tenant)
    assert (request.verb, request.operation_id) == (verb, asked["id"])


@pytest.mark.parametrize("phase", [Phase.DELETED, Phase.FAILED])
async def test_what_has_ended_takes_no_more_requests(
    door: Door, neighbours: Neighbours, tenant: Tenant, phase: Phase
) -> None:
    """409 with the reason wrong_phase."""
    resource = await _existing(door, neighbours, tenant, phase)
    path = f"/v1/vms/{resource.id}"
    for answer in await asyncio.gather(
        door.post(f"{path}/reboot", tenant),
        door.post(f"{path}/extend", tenant, {"ttl": 60}),
        door.request("PATCH", path, tenant, json={"labels": {}}),
    ):
        assert (answer.status, answer.problem["reason"]) == (409, "wrong_phase")


async def test_readers_change_nothing(door: Door, neighbours: Neighbours, tenant: Tenant) -> None:
    """403 for every verb; reading is fine."""
    resource = await _existing(door, neighbours, tenant, Phase.ACTIVE)
    path = f"/v1/vms/{resource.id}"
    assert (await door.get(path, tenant.reader)).status == 200
    for method, place in (
        ("DELETE", path),
        ("PATCH", path),
        ("POST", f"{path}/extend"),
        ("POST", f"{path}/stop"),
        ("POST", "/v1/webhooks"),
        ("GET", "/v1/callback-secret"),
    ):
        assert (await door.request(method, place, tenant.reader)).status == 403
