"""Status messages reach subscribers: signed, in order, at least once."""

from __future__ import annotations

import asyncio
import json

from shared.contract.identifiers import new_ulid
from shared.contract.messages import (
    CallbackSecretIssued,
    GetCallbackSecret,
    GetWebhook,
    Webhook,
)
from shared.contract.resources import Phase
from tests.integration.webhook_worker.harness import Surroundings, a_resource
from tests.support.conditions import eventually
from tests.support.webhooks import Receiver, Scripted, receiving

MAKING = (Phase.REQUESTED, Phase.PROVISIONING, Phase.ACTIVE)


async def test_a_change_of_phase_is_delivered_with_a_signature_that_verifies(
    around: Surroundings, receiver: Receiver
) -> None:
    """The subscriber gets the CloudEvent, signed with the secret that it was given."""
    async with around.worker():
        _, secret = await around.subscribe(receiver.url())
        resource = a_resource(around.tenant)
        await around.change(resource, Phase.ACTIVE, previous=Phase.PROVISIONING, revision=7)
        (received,) = await receiver.until_received(1)
    assert received.is_signed_with(secret)
    assert received.event["type"] == "org.colobus.ResourceStatusChanged.v1"
    assert received.event["subject"] == resource.id
    assert received.event["sequence"] == 7
    assert received.headers["content-type"] == "application/cloudevents+json"


async def test_another_secret_does_not_verify(around: Surroundings, receiver: Receiver) -> None:
    """A subscriber can tell our webhooks from anybody else's, another subscription's too."""
    async with around.worker():
        _, secret = await around.subscribe(receiver.url("/a"))
        _, other = await around.subscribe(receiver.url("/b"))
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        (received,) = await receiver.until_received(1, "/a")
    assert received.is_signed_with(secret)
    assert not received.is_signed_with(other)


async def test_a_failed_delivery_is_repeated_until_it_succeeds_and_every_try_is_recorded(
    around: Surroundings, receiver: Receiver
) -> None:
    """Same id and body each time; the owner can read what happened."""
    receiver.will_answer(500, 302, 204)
    async with around.worker():
        webhook, secret = await around.subscribe(receiver.url())
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        tries = await receiver.until_received(3)
        (delivery,) = await around.settled(webhook.id, 1)
    assert len({(received.id, received.body) for received in tries}) == 1
    assert all(received.is_signed_with(secret) for received in tries)
    assert delivery.state == "delivered"
    assert [attempt.status for attempt in delivery.attempts] == [500, 302, 204]
    assert all(attempt.milliseconds is not None for attempt in delivery.attempts)


async def test_a_redirect_is_not_followed(around: Surroundings, receiver: Receiver) -> None:
    """It could lead anywhere; it is a failure like others."""
    elsewhere = Scripted(307, {"Location": receiver.url("/elsewhere")})
    receiver.will_answer(elsewhere, 204)
    async with around.worker():
        await around.subscribe(receiver.url())
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(2)
    assert receiver.at("/elsewhere") == []


async def test_changes_of_a_resource_arrive_in_order(
    around: Surroundings, receiver: Receiver
) -> None:
    """Twenty resources at once, each with its phases one after the other."""
    phases = (*MAKING, Phase.DEPROVISIONING, Phase.DELETED)
    resources = [a_resource(around.tenant) for _ in range(20)]
    async with around.worker():
        await around.subscribe(receiver.url())
        await asyncio.gather(*(around.live(resource, *phases) for resource in resources))
        await receiver.until_received(len(resources) * len(phases))
    for resource in resources:
        own = [r for r in receiver.at() if r.event["subject"] == resource.id]
        assert [r.phase for r in own] == list(phases)


async def test_a_failing_delivery_holds_up_no_later_one(
    around: Surroundings, receiver: Receiver
) -> None:
    """The first message never arrives; the next ones go ahead after its first failed try."""
    receiver.will_answer(500)
    async with around.worker({"COLOBUS_WEBHOOK_RETRY_SCHEDULE": "3600"}):
        webhook, _ = await around.subscribe(receiver.url())
        await around.live(a_resource(around.tenant), *MAKING)
        await around.settled(webhook.id, 2)
        shown = await around.deliveries(webhook.id)
    assert [(d.sequence, d.state) for d in shown] == [
        (3, "delivered"),
        (2, "delivered"),
        (1, "pending"),
    ]
    assert [received.event["sequence"] for received in receiver.at()] == [1, 2, 3]


async def test_a_dead_endpoint_delays_no_other(around: Surroundings, receiver: Receiver) -> None:
    """All slots of one endpoint hang, with more waiting; another gets its messages meanwhile."""
    hanging = asyncio.Event()
    async with receiving() as dead, around.worker({"COLOBUS_WEBHOOK_CONCURRENCY": "16"}):
        dead.always_answers(Scripted(held=hanging))
        await around.subscribe(dead.url())
        await asyncio.gather(
            *(around.change(a_resource(around.tenant), Phase.REQUESTED) for _ in range(20))
        )
        await dead.until_received(8)
        await around.subscribe(receiver.url())
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(1)
        assert len(dead.at()) == 8
        hanging.set()


async def test_a_repeated_status_message_makes_no_second_delivery(
    around: Surroundings, receiver: Receiver
) -> None:
    """Neither the same message again, nor another one of the same revision."""
    resource = a_resource(around.tenant)
    async with around.worker():
        webhook, _ = await around.subscribe(receiver.url())
        for id in ("same", "same", "other"):
            await around.change(resource, Phase.REQUESTED, id=id)
        await around.change(resource, Phase.ACTIVE, revision=2, previous=Phase.REQUESTED)
        await receiver.until(lambda: "active" in [received.phase for received in receiver.at()])
        shown = await around.settled(webhook.id, 2)
    assert [d.sequence for d in shown] == [2, 1]
    assert len(receiver.at()) == 2


async def test_subscriptions_filter_by_phase_and_kind_and_never_see_another_tenant(
    around: Surroundings, receiver: Receiver
) -> None:
    """Each hears what it asked for; changes within a phase are for the event stream."""
    async with around.worker():
        await around.subscribe(receiver.url("/all"))
        await around.subscribe(receiver.url("/active"), phases=(Phase.ACTIVE,))
        await around.subscribe(receiver.url("/machines"), kinds=("machine",))
        await around.live(a_resource(f"t-{new_ulid()}"), *MAKING)
        resource = a_resource(around.tenant)
        await around.live(resource, Phase.REQUESTED, Phase.PROVISIONING)
        await around.change(resource, Phase.PROVISIONING, revision=3, previous=Phase.PROVISIONING)
        await around.change(resource, Phase.ACTIVE, revision=4, previous=Phase.PROVISIONING)
        await receiver.until_received(3, "/all")
        await receiver.until_received(1, "/active")
    assert [received.phase for received in receiver.at("/all")] == list(MAKING)
    assert [received.phase for received in receiver.at("/active")] == ["active"]
    assert receiver.at("/machines") == []


async def test_a_callback_url_is_told_of_its_own_resource_with_the_tenants_callback_key(
    around: Surroundings, receiver: Receiver
) -> None:
    """No subscription is needed, and the URL itself isn't repeated in the message."""
    url = receiver.url("/callback") + "?token=T0KEN"
    asked, other = a_resource(around.tenant), a_resource(around.tenant)
    async with around.worker():
        await around.live(other, *MAKING)
        await around.live(asked, *MAKING, callback_url=url)
        received = await receiver.until_received(3, "/callback")
        answer = await around.ask(
            GetCallbackSecret(reply_public_key=around.key.public_key), CallbackSecretIssued
        )
        secret = around.opened(answer.sealed_secret)
        webhook = await around.ask(GetWebhook(webhook_id=f"wh-{asked.id}"), Webhook)
    assert [r.phase for r in received] == list(MAKING)
    assert all(r.event["subject"] == asked.id and r.is_signed_with(secret) for r in received)
    assert all(b"T0KEN" not in r.body for r in received)
    assert webhook.resource_id == asked.id


async def test_retry_after_is_honoured(around: Surroundings, receiver: Receiver) -> None:
    """The next try isn't before the time that the endpoint asked for."""
    receiver.will_answer(Scripted(429, {"Retry-After": "3000"}))
    async with around.worker():
        webhook, _ = await around.subscribe(receiver.url())
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(1)
        (delivery,) = await eventually(
            lambda: around.deliveries(webhook.id, lambda delivery: bool(delivery.attempts))
        )
    assert delivery.next_attempt_at is not None
    assert (delivery.next_attempt_at - delivery.attempts[0].at).total_seconds() > 2900


async def test_a_garbage_status_message_stops_nothing(
    around: Surroundings, receiver: Receiver
) -> None:
    """One whose tenant is contradictory is put aside; the next one is delivered."""
    async with around.worker():
        await around.subscribe(receiver.url())
        resource = a_resource(around.tenant)
        await around.change(resource, Phase.REQUESTED, envelope_tenant="somebody-else")
        await around.change(resource, Phase.ACTIVE, revision=2)
        (received,) = await receiver.until_received(1)
    assert received.event["sequence"] == 2
    assert json.loads(received.body)["tenant"] == around.tenant
