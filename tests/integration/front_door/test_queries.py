"""What others own is asked of them: webhooks, quota, capacity, catalog."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.contract.codec import Envelope
from shared.contract.kinds import KINDS
from shared.contract.messages import (
    CallbackSecretIssued,
    CapacityReported,
    CloudCapacity,
    CloudCatalog,
    CreateWebhook,
    DeleteWebhook,
    GetCallbackSecret,
    GetCapacity,
    GetQuota,
    GetVmCatalog,
    GetWebhook,
    ListWebhookDeliveries,
    ListWebhooks,
    QuotaReported,
    RedeliverWebhook,
    RotateWebhookSecret,
    VmCatalogReported,
    VmFlavor,
    Webhook,
    WebhookDeleted,
    WebhookDeliveriesListed,
    WebhookDelivery,
    WebhookRedeliveryQueued,
    WebhooksListed,
)
from shared.contract.resources import Phase
from shared.runtime.errors import PermanentError, TemporaryError
from shared.runtime.secrets import seal
from tests.integration.front_door.harness import Door, House, Neighbours, Tenant

pytestmark = pytest.mark.asyncio(loop_scope="session")
URL = "https://93.184.215.14/hook"
SECRET = "whsec_dG9wIHNlY3JldA=="


def _webhook(webhook_id: str, **more: Any) -> Webhook:
    return Webhook(id=webhook_id, url=URL, created_at=datetime.now(UTC), **more)


def _made(envelope: Envelope, query: CreateWebhook) -> Webhook:
    assert query.reply_public_key is not None
    sealed = seal(query.reply_public_key, SECRET.encode())
    return _webhook(query.webhook_id, phases=query.phases, sealed_secret=sealed)


async def test_a_webhook_is_made_and_its_secret_shown_once(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """201 with the secret, which crossed the bus sealed to a key of this request alone."""
    asked: list[tuple[Envelope, CreateWebhook]] = []

    def make(envelope: Envelope, query: CreateWebhook) -> Webhook:
        asked.append((envelope, query))
        return _made(envelope, query)

    neighbours.answers[CreateWebhook] = make
    body = {"url": URL, "phases": ["active"], "kinds": ["vm"], "description": "CI"}
    answer = await door.post("/v1/webhooks", tenant, body)
    assert answer.status == 201, answer.body
    made = answer.json
    assert (made["secret"], "sealed_secret" in made["webhook"]) == (SECRET, False)
    assert answer.headers["Location"] == f"/v1/webhooks/{made['webhook']['id']}"
    assert answer.headers["Cache-Control"] == "no-store"
    ((envelope, query),) = asked
    assert (envelope.tenant, envelope.source) == (tenant.name, "/front_door/test")
    assert envelope.correlationid == answer.headers["X-Request-Id"]
    assert (query.url, query.phases, query.kinds) == (URL, (Phase.ACTIVE,), ("vm",))
    assert query.description == "CI"


async def test_the_same_key_names_the_same_webhook(
    door: Door, house: House, neighbours: Neighbours, tenant: Tenant, other_tenant: Tenant
) -> None:
    """A repeat asks for the same id, on every replica, so the owner makes no second one."""
    neighbours.answers[CreateWebhook] = _made
    key = {"Idempotency-Key": "hook"}
    ids = []
    async with house.replica() as other:
        for replica, who in ((door, tenant), (other, tenant), (door, other_tenant)):
            answer = await replica.post("/v1/webhooks", who, {"url": URL}, headers=key)
            ids.append(answer.json["webhook"]["id"])
    assert ids[0] == ids[1] != ids[2]


async def test_the_same_key_with_another_webhook_is_refused(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """The owner's "this id is taken" becomes the 422 of a key that was used before."""

    def taken(_: Envelope, __: CreateWebhook) -> Webhook:
        raise PermanentError("the id is taken by another subscription", status=409)

    neighbours.answers[CreateWebhook] = taken
    headers = {"Idempotency-Key": "hook"}
    answer = await door.post("/v1/webhooks", tenant, {"url": URL}, headers=headers)
    assert (answer.status, answer.problem["reason"]) == (422, "idempotency_key_reused")


async def test_webhooks_are_listed_shown_rotated_repeated_and_deleted(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Each route is one query, and its answer in the form of the contract."""
    delivery = WebhookDelivery(
        id="d1",
        webhook_id="wh-1",
        resource_id="vm-1",
        sequence=1,
        state="failed",
        created_at=datetime.now(UTC),
    )
    neighbours.answers |= {
        ListWebhooks: lambda _, q: WebhooksListed(
            webhooks=(_webhook(f"wh-{q.after}-{q.limit}"),), next="more"
        ),
        GetWebhook: lambda _, q: _webhook(q.webhook_id),
        RotateWebhookSecret: lambda _, q: _webhook(
            q.webhook_id, sealed_secret=seal(q.reply_public_key, SECRET.encode())
        ),
        ListWebhookDeliveries: lambda _, q: WebhookDeliveriesListed(deliveries=(delivery,)),
        RedeliverWebhook: lambda _, q: WebhookRedeliveryQueued(count=1 if q.delivery_id else 7),
        DeleteWebhook: lambda _, q: WebhookDeleted(webhook_id=q.webhook_id),
        GetCallbackSecret: lambda _, q: CallbackSecretIssued(
            sealed_secret=seal(q.reply_public_key, SECRET.encode())
        ),
    }
    listed = (await door.get("/v1/webhooks?limit=5&cursor=abc", tenant)).json
    assert (listed["items"][0]["id"], listed["next"]) == ("wh-abc-5", "more")
    assert (await door.get("/v1/webhooks/wh-1", tenant)).json["id"] == "wh-1"
    rotated = (await door.post("/v1/webhooks/wh-1/rotate-secret", tenant)).json
    assert (rotated["secret"], rotated["webhook"]["id"]) == (SECRET, "wh-1")
    deliveries = (await door.get("/v1/webhooks/wh-1/deliveries", tenant)).json["deliveries"]
    assert [found["id"] for found in deliveries] == ["d1"]
    redeliver = "/v1/webhooks/wh-1/redeliver"
    assert (await door.post(redeliver, tenant, {"delivery_id": "d1"})).json == {"count": 1}
    assert (await door.request("POST", redeliver, tenant)).json == {"count": 7}
    deleted = await door.request("DELETE", "/v1/webhooks/wh-1", tenant)
    assert (deleted.status, deleted.body) == (204, b"")
    assert (await door.get("/v1/callback-secret", tenant)).json == {"secret": SECRET}


async def test_the_owners_own_problem_is_passed_on(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """With its status and words; what may pass later has a Retry-After."""

    def refuse(_: Envelope, __: GetWebhook) -> Webhook:
        raise PermanentError("there is no such webhook", reason="not_found", status=404)

    def later(_: Envelope, __: GetQuota) -> QuotaReported:
        raise TemporaryError("the ledger is out", status=503)

    neighbours.answers |= {GetWebhook: refuse, GetQuota: later}
    missing = await door.get("/v1/webhooks/wh-1", tenant)
    assert (missing.status, missing.problem["detail"]) == (404, "there is no such webhook")
    answer = await door.get("/v1/quota", tenant)
    assert (answer.status, "Retry-After" in answer.headers) == (503, True)


async def test_quota_capacity_and_catalog_are_their_owners_answers(
    door: Door, house: House, neighbours: Neighbours, tenant: Tenant
) -> None:
    """The catalog also says which kinds there are, and to which keys secrets are sealed."""
    neighbours.answers |= {
        GetQuota: lambda e, _: QuotaReported(limits={"vms": 3}, used={"vms": 1}, waiting=2),
        GetCapacity: lambda e, _: CapacityReported(
            clouds=(CloudCapacity(cloud=e.tenant, building=1, limit=9, recent_failures=0),),
            waiting=4,
        ),
        GetVmCatalog: lambda e, _: VmCatalogReported(
            clouds=(
                CloudCatalog(
                    cloud="devcloud",
                    images=("debian-12",),
                    flavors=(VmFlavor(name="small", vcpus=1, ram_mib=512, disk_gib=1),),
                    networks=(),
                    security_groups=(),
                ),
            )
        ),
    }
    quota = (await door.get("/v1/quota", tenant.reader)).json
    assert quota == {"limits": {"vms": 3}, "used": {"vms": 1}, "waiting": 2}
    capacity = (await door.get("/v1/capacity", tenant)).json
    assert capacity["clouds"][0]["cloud"] == tenant.name
    catalog = (await door.get("/v1/catalog", tenant)).json
    assert catalog["clouds"][0]["flavors"][0]["name"] == "small"
    kinds = {kind["name"]: kind for kind in catalog["kinds"]}
    assert kinds.keys() == KINDS.keys()
    assert (kinds["vm"]["path"], kinds["vm"]["secrets"]) == ("/v1/vms", ["user_data"])
    assert (kinds["machine"]["worker"], kinds["machine"]["opener"]) == (
        "baremetal_worker",
        "iscsi_worker",
    )
    assert "opener" not in kinds["volume"]
    keys = {worker: key.public_key for worker, key in house.sealing_keys.items()}
    assert catalog["sealing_public_keys"] == keys
    assert {kind["opener"] for kind in kinds.values() if kind["secrets"]} == keys.keys()
