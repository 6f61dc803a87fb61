"""Broker or database out: nothing accepted is lost, and nothing unconfirmed is accepted."""

from __future__ import annotations

import asyncio

import pytest

from shared.contract.resources import Verb
from tests.integration.front_door.harness import A_VM, House, Tenant
from tests.support.bus import until
from tests.support.proxy import Proxy

pytestmark = pytest.mark.asyncio(loop_scope="session")
KEY = {"Idempotency-Key": "a"}


async def test_without_the_broker_a_request_with_a_key_is_answered_503_and_made_later(
    empty_house: House, tenant: Tenant
) -> None:
    """The key then stands for what was published when the broker came back."""
    neighbours = empty_house.neighbours
    async with (
        Proxy.to(empty_house.broker_url) as cable,
        empty_house.replica(amqp_urls=cable.url, confirm_seconds="0.5") as door,
    ):
        await cable.refuse()
        await cable.cut()
        refused = await door.post("/v1/vms", tenant, A_VM, headers=KEY)
        assert (refused.status, refused.problem["reason"]) == (503, "backend_unavailable")
        assert refused.problem["retryable"] is True
        assert int(refused.headers["Retry-After"]) >= 1
        again = await door.post("/v1/vms", tenant, A_VM, headers=KEY)
        assert again.status == 503
        await cable.accept()
        (request,) = await neighbours.requests(tenant)
        answer = await door.post("/v1/vms", tenant, A_VM, headers=KEY)
        assert (answer.status, answer.json["id"]) == (202, request.resource_id)


async def test_without_the_broker_a_request_without_a_key_is_withdrawn(
    empty_house: House, tenant: Tenant
) -> None:
    """503 means that it won't be made: it isn't shown, and what might be is deleted."""
    neighbours = empty_house.neighbours
    async with (
        Proxy.to(empty_house.broker_url) as cable,
        empty_house.replica(amqp_urls=cable.url, confirm_seconds="0.5") as door,
    ):
        await cable.refuse()
        await cable.cut()
        assert (await door.post("/v1/vms", tenant, A_VM)).status == 503
        assert (await door.get("/v1/vms", tenant)).json == {"items": []}
        await cable.accept()
        (request,) = await neighbours.requests(tenant)
        assert request.verb is Verb.DELETE
        made = await door.create(tenant)
        requests = await neighbours.requests(tenant, 2)
        assert (requests[1].verb, requests[1].resource_id) == (Verb.CREATE, made["id"])


async def test_a_delete_never_overtakes_a_create_that_is_not_confirmed(
    empty_house: House, tenant: Tenant
) -> None:
    """While the create is open, a delete of the same resource waits for it or is answered 503."""
    neighbours = empty_house.neighbours
    async with (
        Proxy.to(empty_house.broker_url) as cable,
        empty_house.replica(amqp_urls=cable.url, confirm_seconds="0.5") as door,
    ):
        await cable.refuse()
        await cable.cut()
        await door.post("/v1/vms", tenant, A_VM, headers=KEY)
        (listed,) = (await door.get("/v1/vms", tenant)).json["items"]
        path = f"/v1/vms/{listed['id']}"
        assert (await door.request("DELETE", path, tenant)).status == 503
        await cable.accept()
        await until(lambda: _status_is(door.request("DELETE", path, tenant), 202))
        requests = await neighbours.requests(tenant, 2)
        assert [request.verb for request in requests[:2]] == [Verb.CREATE, Verb.DELETE]


async def _status_is(asking: object, status: int) -> bool:
    assert asyncio.iscoroutine(asking)
    answer = await asking
    return bool(answer.status == status)


async def test_queries_without_the_broker_are_answered_503(
    empty_house: House, tenant: Tenant
) -> None:
    """With Retry-After, and soon."""
    async with (
        Proxy.to(empty_house.broker_url) as cable,
        empty_house.replica(amqp_urls=cable.url, query_seconds="0.5") as door,
    ):
        await cable.refuse()
        await cable.cut()
        answer = await door.get("/v1/quota", tenant)
        assert (answer.status, answer.problem["retryable"]) == (503, True)
        assert "Retry-After" in answer.headers
        assert (await door.get("/v1/vms", tenant)).status == 200


async def test_without_the_database_everything_is_503_and_then_goes_on(
    empty_house: House, tenant: Tenant
) -> None:
    """No 500, and nothing is published that was not written."""
    neighbours = empty_house.neighbours
    async with (
        Proxy.to(empty_house.database_dsn) as cable,
        empty_house.replica(database_dsn=cable.url) as door,
    ):
        await cable.refuse()
        await cable.cut()
        for asking in (
            door.post("/v1/vms", tenant, A_VM),
            door.get("/v1/vms", tenant),
            door.get("/v1/events", tenant),
        ):
            answer = await asking
            assert (answer.status, answer.problem["retryable"]) == (503, True)
            assert "Retry-After" in answer.headers
        ready = await door.request("GET", "/readyz")
        assert (ready.status, ready.json["checks"]["broker"]) == (503, "ok")
        await cable.accept()
        await until(lambda: _status_is(door.get("/v1/vms", tenant), 200))
        made = await door.create(tenant)
        (request,) = await neighbours.requests(tenant)
        assert request.resource_id == made["id"]


async def test_draining_ends_waits_and_streams(empty_house: House, tenant: Tenant) -> None:
    """A replica that stops answers its waits with what there is, and ends its streams."""
    async with empty_house.replica() as door:
        asking = asyncio.create_task(
            door.post("/v1/vms", tenant, A_VM, headers={"Prefer": "wait=60"})
        )
        async with door.stream("/v1/events", tenant) as response:
            await response.content.readline()
            await until(lambda: door.parts.wakeups.has_listeners(f"tenant {tenant.name}"))
            await door.service.drain(5)
            assert await response.content.read() is not None
        assert (await asking).status == 202
