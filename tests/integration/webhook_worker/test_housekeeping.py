"""What is kept, for how long, and what never is."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.webhook_worker import retention
from services.webhook_worker.context import Context
from services.webhook_worker.settings import WebhookSettings
from services.webhook_worker.signing import Signer
from shared.contract.messages import (
    CallbackSecretIssued,
    DeleteWebhook,
    GetCallbackSecret,
    RotateWebhookSecret,
    Webhook,
    WebhookDeleted,
)
from shared.contract.resources import Phase
from shared.runtime.metrics import REGISTRY
from shared.runtime.settings import load
from shared.storage import Database, Outbox
from tests.integration.webhook_worker.harness import MASTER_KEY, Surroundings, a_resource
from tests.support.webhooks import Receiver


@pytest.fixture
async def context(around: Surroundings) -> AsyncIterator[Context]:
    """What the rounds work with."""
    database = await Database.connect(around.dsn, schema="webhook_worker")
    settings = load(WebhookSettings, around.environment)
    outbox = Outbox(database, around.bus)
    yield Context(settings, database, outbox, Signer(b"m" * 32), (), lambda: None)
    await database.close()


async def a_month_later(around: Surroundings) -> None:
    """Make everything that has happened 31 days old."""
    for table, column in (
        ("deliveries", "finished_at"),
        ("subscriptions", "ended_at"),
        ("subscriptions", "deleted_at"),
        ("inbox", "received_at"),
    ):
        await around.rows(f"UPDATE {table} SET {column} = {column} - $1::interval", timedelta(31))


async def test_no_secret_is_in_any_table_or_message(
    around: Surroundings, receiver: Receiver
) -> None:
    """Neither the secrets nor the master key, in none of the forms in which they are used."""
    key = around.key.public_key
    resource = a_resource(around.tenant, spec={"image": "i", "user_data": "US3RDATA"})
    receiver.will_answer(500)
    async with around.worker():
        webhook, secret = await around.subscribe(receiver.url())
        rotate = RotateWebhookSecret(webhook_id=webhook.id, reply_public_key=key)
        rotated = around.opened((await around.ask(rotate, Webhook)).sealed_secret)
        ask = GetCallbackSecret(reply_public_key=key)
        callback = around.opened((await around.ask(ask, CallbackSecretIssued)).sealed_secret)
        await around.change(resource, Phase.REQUESTED, callback_url=receiver.url("/callback"))
        await around.settled(webhook.id)
        await receiver.until_received(1, "/callback")
    tables = await around.rows(
        "SELECT format('%I', table_name) AS name FROM information_schema.tables"
        " WHERE table_schema = 'webhook_worker'"
    )
    dump = ""
    for table in tables:
        rows = await around.rows(f"SELECT t::text AS row FROM {table['name']} t")
        dump += "\n".join(row["row"] for row in rows)
    assert webhook.id in dump
    for hidden in (secret, rotated, callback, MASTER_KEY):
        encoded = hidden.removeprefix("whsec_")
        assert encoded not in dump
        assert base64.b64decode(encoded).hex() not in dump
    assert "US3RDATA" not in dump
    assert all(b"US3RDATA" not in received.body for received in receiver.received)


async def test_what_ended_is_forgotten_after_its_time(
    around: Surroundings, receiver: Receiver, context: Context
) -> None:
    """Deliveries, deleted subscriptions and those of ended resources; all else stays."""
    resource, living = a_resource(around.tenant), a_resource(around.tenant)
    url = receiver.url("/callback")
    async with around.worker():
        kept, _ = await around.subscribe(receiver.url("/kept"))
        deleted, _ = await around.subscribe(receiver.url("/deleted"))
        await around.live(resource, Phase.REQUESTED, Phase.DELETED, callback_url=url)
        await around.live(living, Phase.REQUESTED, callback_url=url)
        await receiver.until_received(3, "/callback")
        for id in (f"wh-{resource.id}", kept.id, deleted.id):
            await around.settled(id, 2)
        await around.settled(f"wh-{living.id}", 1)
        await around.ask(DeleteWebhook(webhook_id=deleted.id), WebhookDeleted)
    await retention.forget(context)
    assert len(await around.rows("SELECT FROM deliveries")) == 9
    await a_month_later(around)
    await retention.forget(context)
    assert await around.rows("SELECT FROM deliveries") == []
    assert await around.rows("SELECT FROM attempts") == []
    assert await around.rows("SELECT FROM inbox") == []
    left = {row["id"] for row in await around.rows("SELECT id FROM subscriptions")}
    assert left == {kept.id, f"wh-{living.id}"}


async def test_what_waits_is_not_forgotten(
    around: Surroundings, receiver: Receiver, context: Context
) -> None:
    """However old it is: it ends with its schedule."""
    receiver.always_answers(500)
    async with around.worker({"COLOBUS_WEBHOOK_RETRY_SCHEDULE": "3600"}):
        await around.subscribe(receiver.url())
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(1)
    await around.rows("UPDATE deliveries SET created_at = now() - interval '40 days'")
    await retention.forget(context)
    await retention.tidy(context)
    await retention.measure(context)
    assert len(await around.rows("SELECT FROM deliveries WHERE state = 'pending'")) == 1
    assert REGISTRY.get_sample_value("colobus_webhook_deliveries_pending") == 1
    age = REGISTRY.get_sample_value("colobus_webhook_oldest_pending_seconds")
    assert (age or 0) >= 40 * 86400


async def test_what_was_queued_as_its_subscription_ended_is_cancelled(
    around: Surroundings, receiver: Receiver, context: Context
) -> None:
    """A delivery that slipped in beside the deletion isn't sent, nor does it wait for ever."""
    receiver.always_answers(500)
    async with around.worker({"COLOBUS_WEBHOOK_RETRY_SCHEDULE": "3600"}):
        await around.subscribe(receiver.url())
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(1)
    await around.rows("UPDATE subscriptions SET deleted_at = now()")
    await retention.tidy(context)
    rows = await around.rows("SELECT state FROM deliveries")
    assert [row["state"] for row in rows] == ["cancelled"]
