"""POST /v1/vms: accepted means written, confirmed, and visible at once."""

from __future__ import annotations

import asyncio

import pytest

from shared.contract.resources import Phase, Verb
from shared.runtime import trace_context
from tests.integration.front_door.harness import (
    A_VM,
    Door,
    House,
    Neighbours,
    Tenant,
    a_resource,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_request_is_accepted_visible_and_published(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """202 with Location; an immediate GET finds it; the scheduler gets it with all attributes."""
    body = {
        **A_VM,
        "name": "ci-1",
        "labels": {"job": "unit"},
        "lease": {"ttl": 3600},
        "deadline": 600,
        "floating_ip": True,
    }
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await door.post("/v1/vms", tenant, body, headers={"traceparent": trace})
    made = answer.json
    assert answer.status == 202
    assert answer.headers["Location"] == f"/v1/vms/{made['id']}"
    assert (made["status"], made["revision"]) == ({"phase": "requested"}, 0)
    found = await door.get(answer.headers["Location"], tenant)
    assert (found.status, found.json, found.headers["ETag"]) == (200, made, '"0"')

    (delivery,) = await neighbours.deliveries(tenant, 1)
    envelope, (message,) = delivery.envelope, await neighbours.requests(tenant)
    assert delivery.routing_key == f"{tenant.name}.vm.create"
    assert envelope.source == "/front_door/test"
    assert (envelope.subject, envelope.tenant) == (made["id"], tenant.name)
    assert envelope.correlationid == answer.headers["X-Request-Id"] == trace.split("-")[1]
    assert envelope.traceparent == trace
    assert (message.verb, message.resource_id, message.name) == (Verb.CREATE, made["id"], "ci-1")
    assert message.spec == {**A_VM, "floating_ip": True}
    assert (message.labels, message.lease_ttl, message.deadline) == ({"job": "unit"}, 3600, 600)
    assert not delivery.repeated


async def test_a_request_without_a_trace_of_its_own_begins_one(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Also when what it sent is malformed; the answer, its problem and the message name it."""
    for number, sent in enumerate(({}, {"traceparent": "00-x"}), start=1):
        answer = await door.post("/v1/vms", tenant, A_VM, headers=sent)
        place = trace_context.parse(answer.headers["traceresponse"])
        assert place is not None
        assert answer.headers["X-Request-Id"] == place.trace_id
        envelope = (await neighbours.deliveries(tenant, number))[-1].envelope
        assert envelope.traceparent == place.traceparent
        assert envelope.correlationid == place.trace_id
    refused = await door.post("/v1/vms", tenant, {})
    trace_id = refused.headers["traceresponse"].split("-")[1]
    assert refused.json["instance"] == f"urn:colobus:request:{trace_id}"


async def test_user_data_is_sealed_before_it_is_written_anywhere(
    door: Door, house: House, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Only the worker can read it: not the broker, not the tables, not the answers."""
    secret = "#cloud-config\npassword: tops3cret"
    made = await door.create(tenant, {**A_VM, "user_data": secret})
    assert made["spec"] == A_VM
    (message,) = await neighbours.requests(tenant)
    assert "user_data" not in message.spec
    assert house.sealing_keys["vm_worker"].open(message.spec["sealed_user_data"]).decode() == secret
    (delivery,) = await neighbours.deliveries(tenant, 1)
    rows = await house.sql("SELECT * FROM requests WHERE tenant = $1", tenant.name)
    rows += await house.sql("SELECT * FROM resources WHERE tenant = $1", tenant.name)
    assert "tops3cret" not in repr([dict(row) for row in rows]) + repr(delivery)


async def test_status_messages_never_show_a_sealed_secret(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Whatever the scheduler tells: secret fields of the spec, sealed or not, are left out."""
    spec = {**A_VM, "user_data": "x", "sealed_user_data": "eA=="}
    resource = a_resource(tenant, Phase.ACTIVE, 1, spec=spec)
    await neighbours.publish_status(resource)
    shown = await _eventually(door, tenant, resource.id)
    assert shown["spec"] == A_VM


async def _eventually(door: Door, tenant: Tenant, resource_id: str) -> dict[str, object]:
    for _ in range(200):
        answer = await door.get(f"/v1/vms/{resource_id}", tenant)
        if answer.status == 200:
            found: dict[str, object] = answer.json
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("never seen")


async def test_prefer_wait_answers_when_the_vm_is_active(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """`Prefer: wait=N` holds the answer until active or failed, and says that it did."""
    asking = asyncio.create_task(
        door.post("/v1/vms", tenant, A_VM, headers={"Prefer": "respond-async, wait=30"})
    )
    (message,) = await neighbours.requests(tenant)
    for revision, phase in enumerate((Phase.PROVISIONING, Phase.ACTIVE), start=1):
        await neighbours.publish_status(a_resource(tenant, phase, revision, message.resource_id))
    answer = await asking
    assert (answer.status, answer.json["status"]["phase"]) == (202, "active")
    assert answer.headers["Preference-Applied"] == "wait=30"


async def test_a_wait_that_ends_early_answers_with_what_there_is(
    door: Door, tenant: Tenant
) -> None:
    """The time being over is no error."""
    answer = await door.post("/v1/vms", tenant, A_VM, headers={"Prefer": "wait=1"})
    assert (answer.status, answer.json["status"]["phase"]) == (202, "requested")
    assert answer.headers["Preference-Applied"] == "wait=1"


async def test_readers_may_look_and_not_ask(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """403 for a reader's POST; the list is open to them."""
    refused = await door.post("/v1/vms", tenant.reader, A_VM)
    assert (refused.status, refused.problem["reason"]) == (403, "forbidden")
    assert (await door.get("/v1/vms", tenant.reader)).json == {"items": []}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer"},
        {"X-Auth-Token": "gAAAAAB"},
        {"X-Auth-Token": "é ü"},
        {"X-Auth-Token": "x", "Authorization": "Bearer tenant-0-member"},
    ],
)
async def test_without_valid_credentials_nothing_is_shown(
    door: Door, headers: dict[str, str]
) -> None:
    """401 with a challenge, for every route of the interface."""
    for method, path in (("GET", "/v1/vms"), ("POST", "/v1/vms"), ("GET", "/v1/events")):
        answer = await door.request(method, path, headers=headers)
        assert (answer.status, answer.problem["reason"]) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
