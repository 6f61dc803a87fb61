"""Whatever dies when: every webhook arrives at least once, and normally exactly once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter

from shared.bus.errors import QueryRefused
from shared.contract.messages import WebhookDelivery
from shared.contract.resources import Phase
from tests.integration.webhook_worker.harness import Surroundings, a_resource
from tests.support.conditions import eventually
from tests.support.webhooks import Receiver, Scripted

#: A crashed sender's claims end soon.
BRIEF = {"COLOBUS_WEBHOOK_TIMEOUT": "0.5", "COLOBUS_WEBHOOK_LEASE": "1"}


async def test_two_workers_at_once_send_everything_once(
    around: Surroundings, receiver: Receiver
) -> None:
    """They share the queue and the deliveries, and never have the same one."""
    resources = [a_resource(around.tenant) for _ in range(60)]
    phases = (Phase.REQUESTED, Phase.PROVISIONING, Phase.ACTIVE)
    async with around.worker(), around.worker(), around.worker():
        webhook, _ = await around.subscribe(receiver.url())
        await asyncio.gather(*(around.live(resource, *phases) for resource in resources))
        shown = await around.settled(webhook.id, len(resources) * len(phases))
    assert {delivery.state for delivery in shown} == {"delivered"}
    assert Counter(received.id for received in receiver.at()) == {d.id: 1 for d in shown}


async def test_kill_9_between_sending_and_recording_sends_again(
    around: Surroundings, receiver: Receiver
) -> None:
    """The endpoint has it, we don't know; so it gets it again, with the same id."""
    hanging = asyncio.Event()
    receiver.will_answer(Scripted(held=hanging))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.webhook_worker",
        env={**os.environ, **around.environment, **BRIEF, "COLOBUS_WEBHOOK_TIMEOUT": "0.9"},
    )
    try:
        await around.subscribe(receiver.url())
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(1)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    async with around.worker(BRIEF):
        first, second = (await receiver.until_received(2))[:2]
        hanging.set()
    assert first.id == second.id


async def test_what_was_queued_while_nobody_ran_is_sent_afterwards(
    around: Surroundings, receiver: Receiver
) -> None:
    """Messages wait on the bus, deliveries in the database."""
    async with around.worker():
        await around.subscribe(receiver.url())
    await around.change(a_resource(around.tenant), Phase.REQUESTED)
    assert receiver.received == []
    async with around.worker():
        await receiver.until_received(1)


async def test_a_worker_that_stops_finishes_what_is_under_way(
    around: Surroundings, receiver: Receiver
) -> None:
    """A restart for an upgrade sends nothing twice and waits for no lease."""
    answering = asyncio.Event()
    receiver.will_answer(Scripted(held=answering))
    async with around.worker() as service:
        await around.subscribe(receiver.url())
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(1)
        draining = asyncio.create_task(service.drain(5))
        await service.draining.wait()
        answering.set()
        await draining
    rows = await around.rows("SELECT state FROM deliveries")
    assert [row["state"] for row in rows] == ["delivered"]
    assert len(receiver.at()) == 1


async def test_an_answer_that_can_not_be_recorded_at_first_is_recorded_later(
    around: Surroundings, receiver: Receiver
) -> None:
    """All connections of the database end while the endpoint answers; it isn't asked again."""
    answering = asyncio.Event()
    receiver.will_answer(Scripted(held=answering))
    async with around.worker():
        webhook, _ = await around.subscribe(receiver.url())
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(1)
        await around.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'colobus webhook_worker' AND datname = current_database()"
        )
        answering.set()

        async def settled() -> list[WebhookDelivery] | None:
            try:
                return await around.settled(webhook.id)
            except QueryRefused as refused:  # asked over one of the ended connections
                if refused.answer.status != 503:
                    raise
                return None

        (delivery,) = await eventually(settled, what="the delivery is recorded")
        await around.change(a_resource(around.tenant), Phase.REQUESTED)
        await receiver.until_received(2)
    assert delivery.state == "delivered"
    assert len(delivery.attempts) == 1


async def test_wrong_settings_are_told_all_at_once(around: Surroundings) -> None:
    """And the exit code says that it failed."""
    environment = {**os.environ, **around.environment, "COLOBUS_HTTP_PORT": "many"}
    environment["COLOBUS_WEBHOOK_RETRY_SCHEDULE"] = "5,soon"
    del environment["COLOBUS_MASTER_KEY"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.webhook_worker",
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    for variable in ("HTTP_PORT", "WEBHOOK_RETRY_SCHEDULE", "MASTER_KEY"):
        assert f"COLOBUS_{variable}".encode() in errors
