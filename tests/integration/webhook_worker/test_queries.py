"""What the front door asks of the webhook worker, over the real bus."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.bus import QueryRefused
from shared.contract.identifiers import new_ulid
from shared.contract.messages import (
    CallbackSecretIssued,
    CreateWebhook,
    DeleteWebhook,
    GetCallbackSecret,
    GetQuota,
    GetWebhook,
    ListWebhookDeliveries,
    ListWebhooks,
    Message,
    RedeliverWebhook,
    RotateWebhookSecret,
    Webhook,
    WebhookDeleted,
    WebhookDeliveriesListed,
    WebhookRedeliveryQueued,
    WebhooksListed,
)
from shared.contract.resources import Phase
from tests.integration.webhook_worker.harness import Surroundings, a_resource
from tests.support.webhooks import Receiver

URL = "https://ci.example.com/hook"


async def refusal_of(around: Surroundings, message: Message, **options: Any) -> QueryRefused:
    with pytest.raises(QueryRefused) as refused:
        await around.ask(message, Message, **options)
    return refused.value


async def test_create_webhook_twice_makes_one_and_gives_the_same_secret(
    around: Surroundings,
) -> None:
    """Also at the same time: a lost answer can simply be asked for again."""
    wanted = CreateWebhook(
        webhook_id=f"wh-{new_ulid()}",
        url=URL,
        phases=(Phase.ACTIVE, Phase.FAILED),
        kinds=("vm",),
        description="CI",
        reply_public_key=around.key.public_key,
    )
    async with around.worker():
        made = await asyncio.gather(*(around.ask(wanted, Webhook) for _ in range(4)))
        listed = await around.ask(ListWebhooks(), WebhooksListed)
    assert len({around.opened(webhook.sealed_secret) for webhook in made}) == 1
    (webhook,) = listed.webhooks
    assert (webhook.url, webhook.phases, webhook.kinds, webhook.description) == (
        URL,
        (Phase.ACTIVE, Phase.FAILED),
        ("vm",),
        "CI",
    )
    assert webhook.sealed_secret is None


async def test_create_webhook_refuses_what_can_never_work(around: Surroundings) -> None:
    """The problem names the field; nothing is made."""
    id = f"wh-{new_ulid()}"
    loopback = {"COLOBUS_WEBHOOK_ALLOWED_NETWORKS": "10.1.0.0/16"}
    async with around.worker(loopback):
        for url in ("ftp://example.com/", "http://127.0.0.1/", "http://[::1]/", "http://a@b/"):
            problem = (await refusal_of(around, CreateWebhook(webhook_id=id, url=url))).problem()
            assert problem.status == 422
            assert [error.pointer for error in problem.errors] == ["/url"]
        bad_key = CreateWebhook(webhook_id=id, url=URL, reply_public_key="AAAA")
        assert (await refusal_of(around, bad_key)).problem().status == 422
        for bad_id in ("callback", "", "a b", "a/b", "x" * 101):
            bad = CreateWebhook(webhook_id=bad_id, url=URL)
            assert (await refusal_of(around, bad)).problem().status == 422
        assert (await around.ask(ListWebhooks(), WebhooksListed)).webhooks == ()


async def test_an_id_is_not_taken_twice(around: Surroundings) -> None:
    """Another subscription of the same id is refused, also when the first was deleted."""
    async with around.worker():
        webhook, _ = await around.subscribe(URL)
        other = CreateWebhook(webhook_id=webhook.id, url=URL + "2")
        assert (await refusal_of(around, other)).problem().status == 409
        await around.ask(DeleteWebhook(webhook_id=webhook.id), WebhookDeleted)
        again = CreateWebhook(webhook_id=webhook.id, url=URL)
        assert (await refusal_of(around, again)).problem().status == 409


async def test_a_tenant_has_a_limited_number_of_webhooks(around: Surroundings) -> None:
    """Also when it asks for all of them at once; deleting one makes room."""
    async with around.worker({"COLOBUS_WEBHOOK_SUBSCRIPTION_LIMIT": "3"}):
        outcomes = await asyncio.gather(
            *(around.subscribe(URL) for _ in range(6)), return_exceptions=True
        )
        refused = [o for o in outcomes if isinstance(o, QueryRefused)]
        assert [r.problem().status for r in refused] == [422] * 3
        listed = await around.ask(ListWebhooks(), WebhooksListed)
        await around.ask(DeleteWebhook(webhook_id=listed.webhooks[0].id), WebhookDeleted)
        await around.subscribe(URL)


async def test_lists_come_in_pages_without_gaps_or_repeats(
    around: Surroundings, receiver: Receiver
) -> None:
    """Subscriptions oldest first, deliveries newest first."""
    async with around.worker():
        made = [(await around.subscribe(receiver.url()))[0] for _ in range(5)]
        seen: list[str] = []
        after: str | None = None
        while True:
            page = await around.ask(ListWebhooks(after=after, limit=2), WebhooksListed)
            seen += [webhook.id for webhook in page.webhooks]
            if (after := page.next) is None:
                break
        assert seen == [webhook.id for webhook in made]
        phases = (Phase.REQUESTED, Phase.PROVISIONING, Phase.ACTIVE)
        await around.live(a_resource(around.tenant), *phases)
        await around.settled(made[0].id, 3)
        sequences: list[int] = []
        while True:
            query = ListWebhookDeliveries(webhook_id=made[0].id, after=after, limit=1)
            shown = await around.ask(query, WebhookDeliveriesListed)
            sequences += [delivery.sequence for delivery in shown.deliveries]
            if (after := shown.next) is None:
                break
        assert sequences == [3, 2, 1]


async def test_an_absurd_cursor_is_refused(around: Surroundings) -> None:
    """With a problem of status 400, not an internal error."""
    async with around.worker():
        webhook, _ = await around.subscribe(URL)
        for cursor in ("x", "MQ==", "\u00e4", "A" * 5000, "MjAyNi0wMS0wMXxh"):
            for query in (
                ListWebhooks(after=cursor),
                ListWebhookDeliveries(webhook_id=webhook.id, after=cursor),
            ):
                assert (await refusal_of(around, query)).problem().status == 400


async def test_another_tenants_webhook_does_not_exist(
    around: Surroundings, receiver: Receiver
) -> None:
    """Whatever is asked about it, the answer is 404, and it goes on as before."""
    key = around.key.public_key
    async with around.worker():
        webhook, _ = await around.subscribe(receiver.url())
        for query in (
            GetWebhook(webhook_id=webhook.id),
            DeleteWebhook(webhook_id=webhook.id),
            RotateWebhookSecret(webhook_id=webhook.id, reply_public_key=key),
            ListWebhookDeliveries(webhook_id=webhook.id),
            RedeliverWebhook(webhook_id=webhook.id),
        ):
            refused = await refusal_of(around, query, tenant=f"t-{new_ulid()}")
            assert refused.problem().status == 404
        stranger = f"t-{new_ulid()}"
        assert (await around.ask(ListWebhooks(), WebhooksListed, tenant=stranger)).webhooks == ()
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(1)


async def test_delete_webhook_cancels_what_waits(around: Surroundings, receiver: Receiver) -> None:
    """Nothing is sent after it; deleting again says the same."""
    receiver.always_answers(500)
    async with around.worker({"COLOBUS_WEBHOOK_RETRY_SCHEDULE": "3600"}):
        webhook, _ = await around.subscribe(receiver.url())
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(1)
        for _ in range(2):
            await around.ask(DeleteWebhook(webhook_id=webhook.id), WebhookDeleted)
        gone = GetWebhook(webhook_id=webhook.id)
        assert (await refusal_of(around, gone)).problem().status == 404
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        marker, _ = await around.subscribe(receiver.url("/marker"))
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(1, "/marker")
        assert marker
    assert len(receiver.at()) == 1


async def test_a_deleted_callback_subscription_stays_deleted(
    around: Surroundings, receiver: Receiver
) -> None:
    """The callback_url in the next status message doesn't bring it back."""
    resource, url = a_resource(around.tenant), receiver.url("/callback")
    async with around.worker():
        await around.subscribe(receiver.url())
        await around.change(resource, Phase.REQUESTED, callback_url=url)
        await receiver.until_received(1, "/callback")
        await around.ask(DeleteWebhook(webhook_id=f"wh-{resource.id}"), WebhookDeleted)
        await around.change(resource, Phase.ACTIVE, revision=2, callback_url=url)
        await receiver.until_received(2)
    assert len(receiver.at("/callback")) == 1


async def test_after_a_rotation_the_old_and_the_new_secret_verify(
    around: Surroundings, receiver: Receiver
) -> None:
    """For a day subscribers can change over; with the overlap past, only the new one does."""
    async with around.worker():
        webhook, old = await around.subscribe(receiver.url())
        query = RotateWebhookSecret(webhook_id=webhook.id, reply_public_key=around.key.public_key)
        new = around.opened((await around.ask(query, Webhook)).sealed_secret)
        newest = around.opened((await around.ask(query, Webhook)).sealed_secret)
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        (during,) = await receiver.until_received(1)
    async with around.worker({"COLOBUS_WEBHOOK_ROTATION_OVERLAP": "0.001"}):
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        _, later = await receiver.until_received(2)
    assert len({old, new, newest}) == 3
    assert [during.is_signed_with(secret) for secret in (old, new, newest)] == [True] * 3
    assert [later.is_signed_with(secret) for secret in (old, new, newest)] == [False, False, True]


async def test_the_callback_key_is_rotated_for_the_tenant_not_for_one_resource(
    around: Surroundings, receiver: Receiver
) -> None:
    """It is one key for all callback_urls of a tenant, and has a name of its own."""
    key = around.key.public_key
    resource = a_resource(around.tenant)
    async with around.worker():
        ask = GetCallbackSecret(reply_public_key=key)
        old = around.opened((await around.ask(ask, CallbackSecretIssued)).sealed_secret)
        await around.change(resource, Phase.REQUESTED, callback_url=receiver.url())
        await receiver.until_received(1)
        single = RotateWebhookSecret(webhook_id=f"wh-{resource.id}", reply_public_key=key)
        assert (await refusal_of(around, single)).problem().status == 409
        rotate = RotateWebhookSecret(webhook_id="callback", reply_public_key=key)
        new = around.opened((await around.ask(rotate, Webhook)).sealed_secret)
        assert around.opened((await around.ask(ask, CallbackSecretIssued)).sealed_secret) == new
        await around.change(resource, Phase.ACTIVE, revision=2, callback_url=receiver.url())
        first, second = await receiver.until_received(2)
    assert (first.is_signed_with(old), first.is_signed_with(new)) == (True, False)
    assert (second.is_signed_with(old), second.is_signed_with(new)) == (True, True)


async def test_redeliver_sends_one_or_all_that_failed_again(
    around: Surroundings, receiver: Receiver
) -> None:
    """With the same id, so that a subscriber can tell that it has it already."""
    receiver.will_answer(204, 500, 500)
    async with around.worker({"COLOBUS_WEBHOOK_RETRY_SCHEDULE": "0.01"}):
        webhook, _ = await around.subscribe(receiver.url())
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        (delivered,) = await around.settled(webhook.id)
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        failed, _ = await around.settled(webhook.id, 2)
        assert (delivered.state, failed.state) == ("delivered", "failed")
        one = RedeliverWebhook(webhook_id=webhook.id, delivery_id=delivered.id)
        assert (await around.ask(one, WebhookRedeliveryQueued)).count == 1
        await receiver.until_received(4)
        every = RedeliverWebhook(webhook_id=webhook.id)
        assert (await around.ask(every, WebhookRedeliveryQueued)).count == 1
        await receiver.until_received(5)
        shown = await around.settled(webhook.id, 2)
        unknown = RedeliverWebhook(webhook_id=webhook.id, delivery_id="msg_unknown")
        assert (await refusal_of(around, unknown)).problem().status == 404
    ids = [received.id for received in receiver.at()]
    assert ids == [delivered.id, failed.id, failed.id, delivered.id, failed.id]
    assert [delivery.state for delivery in shown] == ["delivered", "delivered"]
    assert len(shown[0].attempts) == 3


async def test_a_query_for_somebody_else_is_refused(around: Surroundings) -> None:
    """It is answered, not dropped."""
    async with around.worker():
        assert (await refusal_of(around, GetQuota())).problem().status == 400
