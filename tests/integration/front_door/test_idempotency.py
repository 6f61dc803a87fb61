"""One Idempotency-Key stands for one request, however often and wherever it is sent."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from services.front_door import retention
from services.front_door.creation import requested
from services.front_door.request_store import CONFIRMED_CHANNEL, RequestRow, RequestStore
from services.front_door.submission import Ask
from shared.contract.kinds import KINDS, CreateVm
from shared.contract.resources import Phase, Verb
from tests.integration.front_door.harness import (
    A_VM,
    Door,
    House,
    Neighbours,
    Tenant,
    a_resource,
)
from tests.support.bus import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _key(text: str) -> dict[str, str]:
    return {"Idempotency-Key": text}


async def _row_left_behind(
    house: House, door: Door, tenant: Tenant, key: str | None, claim_seconds: float = 0
) -> tuple[RequestRow, bytes]:
    """Leave what a crash between commit and publish leaves; its claim has lapsed, unless said."""
    body = CreateVm(**A_VM)
    message, resource = requested(
        KINDS["vm"], tenant.name, body, house.sealing_keys["vm_worker"].public_key
    )
    canonical = b'{"flavor":"small","image":"debian-12"}'
    ask = Ask(tenant.name, "POST /v1/vms", key, canonical, correlationid="the-request")
    row = door.parts.submitter.prepare(ask, message)
    await RequestStore(door.parts.database, claim_seconds=claim_seconds).insert(row, resource)
    return row, row.message.body


async def test_the_same_key_gives_the_same_resource(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """A repeat, as after a lost answer, is answered alike and publishes nothing."""
    first = await door.create(tenant, headers=_key("a"))
    again = await door.post("/v1/vms", tenant, A_VM, headers=_key("a"))
    assert (again.status, again.json) == (202, first)
    assert again.headers["Location"] == f"/v1/vms/{first['id']}"
    other = await door.create(tenant, headers=_key("b"))
    requests = await neighbours.requests(tenant, 2)
    assert [request.resource_id for request in requests] == [first["id"], other["id"]]
    assert len(await neighbours.deliveries(tenant, 2)) == 2, "not even the same message again"


async def test_the_order_of_fields_and_their_defaults_make_no_other_request(
    door: Door, tenant: Tenant
) -> None:
    """What counts is what was asked for, not how it was written."""
    first = await door.create(tenant, headers=_key("a"))
    body = b'{"floating_ip": false, "flavor":"small",\n "image": "debian-12", "labels": {}}'
    again = await door.post("/v1/vms", tenant, body, headers=_key("a"))
    assert again.json["id"] == first["id"]


async def test_the_same_key_with_another_body_is_refused(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """422, also when only a secret differs; nothing is published for it."""
    await door.create(tenant, {**A_VM, "user_data": "one"}, headers=_key("a"))
    for body in ({**A_VM, "user_data": "two"}, A_VM, {**A_VM, "name": "x"}):
        refused = await door.post("/v1/vms", tenant, body, headers=_key("a"))
        assert (refused.status, refused.problem["reason"]) == (422, "idempotency_key_reused")
    assert len(await neighbours.requests(tenant)) == 1


async def test_keys_belong_to_a_tenant_and_a_path(
    door: Door, tenant: Tenant, other_tenant: Tenant
) -> None:
    """Two tenants, or two operations, may use the same key for different things."""
    mine = await door.create(tenant, headers=_key("a"))
    theirs = await door.create(other_tenant, headers=_key("a"))
    assert mine["id"] != theirs["id"]
    path = f"/v1/vms/{mine['id']}/extend"
    extended = await door.post(path, tenant, {"ttl": 60}, headers=_key("a"))
    assert extended.status == 202


async def test_two_replicas_and_one_key_at_once_make_one_request(
    house: House, door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """One row and one message, and every asker gets the same resource."""
    async with house.replica() as other:
        answers = await asyncio.gather(
            *(
                replica.post("/v1/vms", tenant, A_VM, headers=_key("a"))
                for replica in (door, other) * 10
            )
        )
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    rows = await house.sql("SELECT confirmed_at FROM requests WHERE tenant = $1", tenant.name)
    assert len(rows) == 1
    assert rows[0]["confirmed_at"] is not None
    await door.create(tenant)  # the queue keeps its order: whatever came before has arrived
    assert len(await neighbours.requests(tenant, 2)) == 2


async def test_an_operation_is_named_alike_in_each_answer(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """A repeated reboot is the same operation, even when the VM has ended meanwhile."""
    resource = a_resource(tenant, Phase.ACTIVE, 1)
    await neighbours.publish_status(resource)
    path = f"/v1/vms/{resource.id}"
    await until(lambda: _is_there(door, tenant, path))
    first = await door.post(f"{path}/reboot", tenant, headers=_key("a"))
    (operation,) = first.json["status"]["operations"]
    assert (operation["verb"], operation["state"]) == ("reboot", "requested")
    await neighbours.publish_status(a_resource(tenant, Phase.DELETED, 2, resource.id))
    await until(lambda: _is_there(door, tenant, path, "deleted"))
    again = await door.post(f"{path}/reboot", tenant, headers=_key("a"))
    assert (again.status, again.json["status"]["operations"]) == (202, [operation])
    refused = await door.post(f"{path}/reboot", tenant, headers=_key("b"))
    assert (refused.status, refused.problem["reason"]) == (409, "wrong_phase")
    (request,) = await neighbours.requests(tenant)
    assert (request.verb, request.operation_id) == (Verb.REBOOT, operation["id"])


async def _is_there(door: Door, tenant: Tenant, path: str, phase: str = "active") -> bool:
    answer = await door.get(path, tenant)
    return answer.status == 200 and answer.json["status"]["phase"] == phase


async def test_after_a_crash_before_publishing_the_republisher_publishes(
    house: House, door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """A row with a key is published in the end, as the same message, marked as a repeat."""
    row, body = await _row_left_behind(house, door, tenant, "a")
    (delivery,) = await neighbours.deliveries(tenant, 1)
    assert (delivery.envelope.id, delivery.repeated) == (row.id, True)
    assert row.message.body == body
    again = await door.post("/v1/vms", tenant, A_VM, headers=_key("a"))
    assert (again.status, again.json["id"]) == (202, row.resource_id)


async def test_a_retry_does_not_wait_for_the_claim_of_a_dead_process(
    house: House, door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Who lost the answer to a crash asks again at once, and is served as the same request."""
    row, _ = await _row_left_behind(house, door, tenant, "a", claim_seconds=3600)
    again = await door.post("/v1/vms", tenant, A_VM, headers=_key("a"))
    assert (again.status, again.json["id"]) == (202, row.resource_id)
    (delivery,) = await neighbours.deliveries(tenant, 1)
    assert (delivery.envelope.id, delivery.repeated) == (row.id, True)


async def test_after_a_crash_a_request_without_a_key_is_withdrawn(
    house: House, door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Its asker can't find it: it is not shown, and a delete follows in case the broker has it."""
    row, _ = await _row_left_behind(house, door, tenant, None)
    (request,) = await neighbours.requests(tenant)
    assert (request.verb, request.resource_id) == (Verb.DELETE, row.resource_id)
    assert (await door.get(f"/v1/vms/{row.resource_id}", tenant)).status == 404
    rows = await house.sql("SELECT * FROM requests WHERE tenant = $1 ORDER BY id", tenant.name)
    assert [bool(found["withdrawn_at"]) for found in rows] == [True, False]
    assert rows[1]["compensates"] == row.id


async def test_a_confirm_that_comes_after_the_withdrawal_is_made_good(
    house: House, door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Whoever was slow publishes a withdrawn create: one more delete follows it."""
    row, _ = await _row_left_behind(house, door, tenant, None)
    await neighbours.requests(tenant, 1)
    with pytest.raises(Exception, match="could not be handed on"):
        await door.parts.submitter._publish(row, repeated=False)
    requests = await neighbours.requests(tenant, 3)
    assert [request.verb for request in requests] == [Verb.DELETE, Verb.CREATE, Verb.DELETE]


async def test_settled_rows_are_kept_for_their_time_and_open_ones_for_ever(
    house: House, door: Door, tenant: Tenant
) -> None:
    """Keys are remembered until their time is over; what is open is never forgotten."""
    await door.create(tenant, headers=_key("a"))
    store = RequestStore(door.parts.database, claim_seconds=3600)
    body = CreateVm(**A_VM)
    message, resource = requested(
        KINDS["vm"], tenant.name, body, house.sealing_keys["vm_worker"].public_key
    )
    ask = Ask(tenant.name, "POST /v1/vms", "open", b"", correlationid="x")
    await store.insert(door.parts.submitter.prepare(ask, message), resource)
    count = "SELECT count(*) FROM requests WHERE tenant = $1"
    await retention.forget_requests(door.parts.database, timedelta(hours=48))
    assert (await house.sql(count, tenant.name))[0][0] == 2
    age = "UPDATE requests SET created_at = now() - interval '49 hours' WHERE tenant = $1"
    await house.sql(age, tenant.name)
    await retention.forget_requests(door.parts.database, timedelta(hours=48))
    assert (await house.sql(count, tenant.name))[0][0] == 1


async def test_confirms_that_come_together_wake_all_who_wait_for_them(
    house: House, door: Door, tenant: Tenant
) -> None:
    """Requests under keys are told of, in all replicas; nobody can wait for one without a key."""
    claimed = 3600  # the house's own republisher leaves them alone
    rows = [
        (await _row_left_behind(house, door, tenant, key, claimed))[0] for key in ("x", "y", None)
    ]
    woken: list[str] = []
    store = RequestStore(door.parts.database, claim_seconds=3600)
    async with door.parts.database.listen(
        CONFIRMED_CHANNEL, lambda payload: woken.extend(payload.split())
    ):
        assert all(await asyncio.gather(*(store.confirm(row.id) for row in rows)))
        await until(lambda: {row.id for row in rows[:2]} <= set(woken))
    assert rows[2].id not in woken
