"""What a service's user could pretend, by all ways that its permissions leave: on the real broker.

The scheduler's judgement (`services.scheduler.origins`) is asked about what really arrives.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiormq
import pytest
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from services.admin.environment import environment_of
from services.admin.settings import AdminSettings
from services.scheduler.origins import check_dead_command, check_event
from shared.bus import Bus, Delivery, RejectedMessage
from shared.contract import topology
from shared.contract.codec import envelope_for
from shared.contract.identifiers import new_id
from shared.contract.messages import PrepareVmPort, VmObserved
from shared.contract.outgoing import OutgoingMessage, command, event
from tests.support.bus import Recorder, bus_at
from tests.support.conditions import eventually

pytestmark = pytest.mark.timeout(180)
#: What would be believed, if it were the broker's own.
_FORGED_DEATHS = [{"queue": "vm_worker.commands", "reason": "delivery_limit", "count": 1}]


def _url(settings: AdminSettings, service: str) -> str:
    return environment_of(service, settings)["COLOBUS_AMQP_URLS"]


def a_dead_command() -> OutgoingMessage:
    """A command of an open step."""
    message = PrepareVmPort(cloud="devcloud")
    envelope = envelope_for(
        message, source="/s", subject=new_id("vm"), tenant="bigtop", step="port", attempt=1
    )
    return command("vm_worker", envelope, message)


@asynccontextmanager
async def _channel(settings: AdminSettings, service: str) -> AsyncIterator[aiormq.Channel]:
    connection = await aiormq.connect(_url(settings, service))
    try:
        channel = await connection.channel(publisher_confirms=True)
        assert isinstance(channel, aiormq.Channel)
        yield channel
    finally:
        await connection.close()


async def _publish(
    channel: aiormq.Channel, message: OutgoingMessage, exchange: str, key: str, **properties: Any
) -> None:
    await channel.basic_publish(
        message.body,
        exchange=exchange,
        routing_key=key,
        properties=Basic.Properties(message_id=message.id, **properties),
        mandatory=True,
    )


async def _arrived(record: Recorder, message: OutgoingMessage) -> Delivery:
    def found() -> Delivery | None:
        return next((d for d in record.deliveries if d.envelope.id == message.id), None)

    async def look() -> Delivery | None:
        return found()

    return await eventually(look, within=30, what="the message arrives")


@asynccontextmanager
async def _scheduler(settings: AdminSettings, queue: str) -> AsyncIterator[Recorder]:
    """What the scheduler's handlers get from the queue."""
    record = Recorder()
    async with bus_at(_url(settings, "scheduler"), name="scheduler") as bus:
        await bus.consume(queue, record)
        yield record


async def test_a_command_that_its_worker_rejects_is_believed(installation: AdminSettings) -> None:
    """Under its own key, by the worker itself; nothing of the broker's is in its headers."""

    async def reject(_: Delivery) -> None:
        raise RejectedMessage("never")

    dead = a_dead_command()
    async with (
        _scheduler(installation, "scheduler.dead_commands") as record,
        bus_at(_url(installation, "vm_worker"), name="vm_worker") as worker,
        bus_at(_url(installation, "scheduler"), name="scheduler") as scheduler,
    ):
        await worker.consume("vm_worker.commands", reject)
        await scheduler.publish(dead)
        delivery = await _arrived(record, dead)
    assert delivery.given_up is None
    check_dead_command(delivery)


async def test_a_command_that_the_broker_gives_up_is_believed(
    installation: AdminSettings,
) -> None:
    """Its worker died over it again and again: the limit of deliveries."""
    dead = a_dead_command()
    async with (
        _scheduler(installation, "scheduler.dead_commands") as record,
        bus_at(_url(installation, "scheduler"), name="scheduler") as scheduler,
        _channel(installation, "vm_worker") as worker,
    ):
        await scheduler.publish(dead)

        async def give_back(message: DeliveredMessage) -> None:
            assert message.delivery_tag is not None
            await worker.basic_nack(message.delivery_tag, requeue=True)

        await worker.basic_qos(prefetch_count=1)
        await worker.basic_consume("vm_worker.commands", give_back)
        delivery = await _arrived(record, dead)
    assert delivery.given_up == ("vm_worker.commands", "delivery_limit")
    check_dead_command(delivery)


async def test_a_command_that_another_queue_gave_up_is_not(installation: AdminSettings) -> None:
    """The front door declares queues, and says where their dead letters go, under which key.

    The broker asks for no leave to write under it; but it says which queue that was, before all
    that a publisher says.
    """
    dead = a_dead_command()
    live = "front_door.live.forged"
    async with (
        _scheduler(installation, "scheduler.dead_commands") as record,
        _channel(installation, "front_door") as front_door,
    ):
        await front_door.queue_declare(
            live,
            auto_delete=False,
            exclusive=True,
            arguments={
                "x-message-ttl": 0,
                "x-dead-letter-exchange": topology.DEAD_LETTERS,
                "x-dead-letter-routing-key": dead.routing_key,
            },
        )
        headers = {"x-death": _FORGED_DEATHS}
        await _publish(front_door, dead, topology.delay_exchange(1), live, headers=headers)
        delivery = await _arrived(record, dead)
    assert (delivery.exchange, delivery.routing_key) == (topology.DEAD_LETTERS, dead.routing_key)
    assert delivery.given_up == (live, "expired")
    with pytest.raises(RejectedMessage, match="given up by"):
        check_dead_command(delivery)


@pytest.mark.parametrize(
    ("exchange", "key", "properties"),
    [
        ("", "vm_worker.commands", {"expiration": "1", "headers": {"x-death": _FORGED_DEATHS}}),
        (topology.DEAD_LETTERS, "a.b.c", {"headers": {"CC": ["vm_worker.PrepareVmPort"]}}),
        ("", "vm_worker.commands", {"expiration": "1", "headers": {"CC": ["vm_worker.commands"]}}),
    ],
    ids=["let expire in the worker's queue", "under a second key", "both"],
)
async def test_a_dead_command_of_the_webhook_worker_is_not(
    installation: AdminSettings, exchange: str, key: str, properties: dict[str, Any]
) -> None:
    """What arrives there has not the command's key."""
    dead = a_dead_command()
    async with _channel(installation, "webhook_worker") as forger:
        await _publish(forger, dead, exchange, key, **properties)
        async with _scheduler(installation, "scheduler.dead_commands") as record:
            if delivery := await _unless_refused(installation, record, dead):
                with pytest.raises(RejectedMessage, match="no key for a dead PrepareVmPort"):
                    check_dead_command(delivery)


async def _unless_refused(
    settings: AdminSettings, record: Recorder, message: OutgoingMessage
) -> Delivery | None:
    """The delivery, or None when the bus has refused it before any handler: it lies there."""

    async def look() -> Delivery | bool:
        found = [d for d in record.deliveries if d.envelope.id == message.id]
        return found[0] if found else message.id in await dead_letters(settings)

    found = await eventually(look, within=30, what="it arrives somewhere")
    return found if isinstance(found, Delivery) else None


async def dead_letters(settings: AdminSettings) -> dict[str, DeliveredMessage]:
    """All that lies there, by message id; the last of each. It goes back."""
    connection = await aiormq.connect(str.__str__(settings.admin_amqp_url[0]))
    channel = await connection.channel()
    found: dict[str, DeliveredMessage] = {}
    while (got := await channel.basic_get("dead_letters")).delivery_tag:
        headers = got.header.properties.headers or {}
        if "x-colobus-reason" in headers:
            found[str(got.header.properties.message_id)] = got
    await connection.close()  # what was not acknowledged goes back
    return found


def _gone(key_kind: str = "vm") -> OutgoingMessage:
    message = VmObserved(observed_at=datetime.now(UTC), gone=True)
    envelope = envelope_for(message, source="/s", subject=new_id("vm"), tenant="bigtop")
    return event(key_kind, envelope, message)


async def test_an_event_of_the_worker_itself_is_believed(installation: AdminSettings) -> None:
    """Also when a tenant's full queue made it take the other way."""
    for exchange in (topology.EVENTS, topology.for_ours(topology.EVENTS)):
        seen = _gone()
        async with (
            _scheduler(installation, "scheduler.events") as record,
            _channel(installation, "vm_worker") as worker,
        ):
            await _publish(worker, seen, exchange, seen.routing_key)
            check_event(await _arrived(record, seen))


@pytest.mark.parametrize("key", ["bigtop.webhook.x", "bigtop.webhook.VmObserved"])
async def test_an_event_of_the_webhook_worker_about_a_vm_is_not(
    installation: AdminSettings, key: str
) -> None:
    """The broker lets it publish under its own kind alone, and a second key counts for nothing."""
    for properties in ({}, {"headers": {"CC": ["bigtop.vm.VmObserved"]}}):
        seen = _gone()
        async with (
            _scheduler(installation, "scheduler.events") as record,
            _channel(installation, "webhook_worker") as forger,
        ):
            await _publish(forger, seen, topology.EVENTS, key, **properties)
            delivery = await _arrived(record, seen)
        assert delivery.routing_key == key
        with pytest.raises(RejectedMessage, match="no key for VmObserved"):
            check_event(delivery)


async def test_what_comes_past_the_exchanges_reaches_no_handler(
    installation: AdminSettings,
) -> None:
    """Whoever answers queries may write to the default exchange, and so to any queue.

    Each service gives it up with a reason, under a key that it may write, and goes on.
    """
    record, buses = Recorder(), list[Bus]()
    queues = [queue.name for queue in topology.TOPOLOGY.work_queues if queue.name != "dead_letters"]
    for queue in queues:
        service = queue.partition(".")[0]
        async with (
            bus_at(_url(installation, service), name=service) as bus,
            _channel(installation, "webhook_worker") as forger,
        ):
            buses.append(bus)
            await bus.consume(queue, record)
            forged = a_dead_command()
            await _publish(forger, forged, "", queue)

            async def buried(forged: OutgoingMessage = forged) -> DeliveredMessage | None:
                return (await dead_letters(installation)).get(forged.id)

            letter = await eventually(buried, within=30, what=f"{queue} gives it up")
            assert letter.routing_key == f"{queue}.{queue}"
            headers = letter.header.properties.headers or {}
            assert "no binding of" in str(headers["x-colobus-reason"])
        assert forged.id not in record.ids
