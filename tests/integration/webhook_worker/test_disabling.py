"""Endpoints that don't work: when deliveries to them stop, and how everybody learns of it."""

from __future__ import annotations

import pytest

from shared.bus import Delivery
from shared.contract.messages import (
    GetWebhook,
    RedeliverWebhook,
    Webhook,
    WebhookDisabled,
    WebhookRedeliveryQueued,
)
from shared.contract.resources import Phase
from shared.contract.topology import EVENTS, Binding
from tests.integration.webhook_worker.harness import Surroundings, a_resource
from tests.support.conditions import eventually
from tests.support.webhooks import Receiver


@pytest.fixture
async def events(around: Surroundings) -> list[Delivery]:
    """What is published about webhooks of this test's tenant."""
    heard: list[Delivery] = []

    async def hear(delivery: Delivery) -> None:
        heard.append(delivery)

    binding = Binding(EVENTS, f"{around.tenant}.webhook.*")
    await around.bus.subscribe_live([binding], hear)
    return heard


async def one_of(events: list[Delivery]) -> WebhookDisabled:
    async def heard() -> list[Delivery]:
        return list(events)

    (event,) = await eventually(heard, what="the event")
    assert isinstance(event.message, WebhookDisabled)
    return event.message


async def test_an_endpoint_that_keeps_failing_is_disabled_with_an_event(
    around: Surroundings, receiver: Receiver, events: list[Delivery]
) -> None:
    """After so many messages in a row were given up; what waits is cancelled, nothing more sent."""
    receiver.always_answers(500)
    settings = {
        "COLOBUS_WEBHOOK_RETRY_SCHEDULE": "0.01",
        "COLOBUS_WEBHOOK_DISABLE_AFTER_MESSAGES": "3",
    }
    async with around.worker(settings):
        webhook, _ = await around.subscribe(receiver.url())
        for _ in range(3):
            await around.change(a_resource(around.tenant), Phase.REQUESTED)
        event = await one_of(events)
        shown = await around.ask(GetWebhook(webhook_id=webhook.id), Webhook)
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await around.subscribe(receiver.url("/marker"))
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(1, "/marker")
        states = [delivery.state for delivery in await around.settled(webhook.id, 3)]
    assert (event.webhook_id, event.url) == (webhook.id, webhook.url)
    assert shown.disabled_at is not None
    assert shown.disabled_reason == event.problem.detail == "the endpoint kept failing"
    assert states == ["failed"] * 3
    assert len(receiver.at()) == 6


async def test_a_success_in_between_starts_the_count_again(
    around: Surroundings, receiver: Receiver
) -> None:
    """Only an endpoint that fails persistently is disabled."""
    receiver.will_answer(500, 500, 204, 500, 500)
    settings = {
        "COLOBUS_WEBHOOK_RETRY_SCHEDULE": "0.01",
        "COLOBUS_WEBHOOK_DISABLE_AFTER_MESSAGES": "2",
    }
    async with around.worker(settings):
        webhook, _ = await around.subscribe(receiver.url())
        for count in range(1, 4):
            await around.change(a_resource(around.tenant), Phase.REQUESTED)
            await around.settled(webhook.id, count)
        shown = await around.ask(GetWebhook(webhook_id=webhook.id), Webhook)
    assert shown.disabled_at is None


async def test_an_endpoint_that_has_failed_for_days_is_disabled(
    around: Surroundings, receiver: Receiver, events: list[Delivery]
) -> None:
    """Also when few messages were given up; here the days are milliseconds."""
    receiver.always_answers(503)
    async with around.worker({"COLOBUS_WEBHOOK_DISABLE_AFTER": "0.02"}):
        webhook, _ = await around.subscribe(receiver.url())
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        assert (await one_of(events)).webhook_id == webhook.id
        (delivery,) = await around.settled(webhook.id)
    assert delivery.state in ("failed", "cancelled")


async def test_an_endpoint_that_is_gone_is_disabled_at_once(
    around: Surroundings, receiver: Receiver, events: list[Delivery]
) -> None:
    """410 means: never again."""
    receiver.will_answer(410)
    async with around.worker():
        webhook, _ = await around.subscribe(receiver.url())
        await around.live(a_resource(around.tenant), Phase.REQUESTED, Phase.ACTIVE)
        event = await one_of(events)
        first = (await around.settled(webhook.id))[-1]
    assert event.problem.detail == "the endpoint answered 410 Gone"
    assert (first.state, [attempt.status for attempt in first.attempts]) == ("failed", [410])
    assert len(receiver.at()) == 1


async def test_redelivery_takes_a_disabled_subscription_into_service_again(
    around: Surroundings, receiver: Receiver, events: list[Delivery]
) -> None:
    """What it missed is sent, and new messages are, too."""
    receiver.will_answer(410)
    async with around.worker():
        webhook, _ = await around.subscribe(receiver.url())
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await one_of(events)
        again = RedeliverWebhook(webhook_id=webhook.id)
        assert (await around.ask(again, WebhookRedeliveryQueued)).count == 1
        await receiver.until_received(2)
        shown = await around.ask(GetWebhook(webhook_id=webhook.id), Webhook)
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(3)
    assert shown.disabled_at is None


async def test_a_callback_url_that_may_not_be_called_is_refused_with_an_event(
    around: Surroundings, receiver: Receiver, events: list[Delivery]
) -> None:
    """Requests from the bus pass no front door; their resource goes on, their callback doesn't."""
    resource = a_resource(around.tenant)
    async with around.worker({"COLOBUS_WEBHOOK_ALLOWED_NETWORKS": "10.0.0.0/8"}):
        await around.change(resource, Phase.REQUESTED, callback_url=receiver.url())
        event = await one_of(events)
        await around.change(resource, Phase.ACTIVE, revision=2, callback_url=receiver.url())
        shown = await around.ask(GetWebhook(webhook_id=f"wh-{resource.id}"), Webhook)
    assert event.webhook_id == f"wh-{resource.id}"
    assert "not public" in (shown.disabled_reason or "")
    assert receiver.received == []
    assert len(events) == 1


async def test_an_address_that_is_not_allowed_any_more_is_refused_when_it_is_connected_to(
    around: Surroundings, receiver: Receiver
) -> None:
    """The check at POST time is not the last one."""
    async with around.worker():
        webhook, _ = await around.subscribe(receiver.url())
    async with around.worker(
        {
            "COLOBUS_WEBHOOK_ALLOWED_NETWORKS": "10.0.0.0/8",
            "COLOBUS_WEBHOOK_RETRY_SCHEDULE": "0.01",
        }
    ):
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        (delivery,) = await around.settled(webhook.id)
    assert delivery.state == "failed"
    assert all("not public" in (attempt.error or "") for attempt in delivery.attempts)
    assert receiver.received == []
