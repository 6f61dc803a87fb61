"""Consuming on the real broker: what becomes of a message by what its handler does."""

from __future__ import annotations

import asyncio

import pytest

from shared.bus import Bus, Delivery, RejectedMessage, TopologyMissing, settlement
from shared.contract.codec import MAX_BYTES
from shared.contract.messages import VmBuildStarted
from shared.runtime.errors import TemporaryError
from tests.support.bus import Broker, Recorder, a_command, an_event, bus_at, nothing_left, until
from tests.support.proxy import Proxy

pytestmark = pytest.mark.timeout(120)


async def test_a_handled_message_is_acknowledged(bus: Bus, broker: Broker) -> None:
    """The handler gets the typed message with its origin, and it is gone when it returns."""
    record, event = Recorder(), an_event()
    await bus.consume("scheduler.events", record)
    await bus.publish(event)
    [delivery] = await record.wait_for(1)
    assert isinstance(delivery.message, VmBuildStarted)
    assert (delivery.queue, delivery.routing_key) == ("scheduler.events", event.routing_key)
    assert (delivery.user_id, delivery.repeated) == (broker.vhost.user, False)
    assert await nothing_left(bus, broker, "scheduler.events")


async def test_as_many_handlers_run_at_once_as_are_prefetched(bus: Bus) -> None:
    """Concurrency is the prefetch, neither more nor less."""
    running, most, enough = 0, 0, asyncio.Event()

    async def handler(_: Delivery) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 4:
            enough.set()
        await enough.wait()
        running -= 1

    await bus.consume("scheduler.events", handler, prefetch=4)
    await asyncio.gather(*(bus.publish(an_event()) for _ in range(12)))
    await until(enough.is_set)
    await until(lambda: running == 0)
    assert most == 4


async def test_a_temporary_error_brings_the_message_back_after_a_delay(
    bus: Bus, broker: Broker
) -> None:
    """It comes back marked as repeated, with its first routing key, exchange and user."""
    record = Recorder()

    async def handler(delivery: Delivery) -> None:
        await record(delivery)
        if not delivery.repeated:
            raise TemporaryError("the cloud is down")

    await bus.consume("scheduler.events", handler)
    await bus.publish(an_event())
    first, second = await record.wait_for(2)
    assert (first.repeated, second.repeated) == (False, True)
    assert second.envelope == first.envelope
    assert (second.exchange, second.routing_key) == (first.exchange, first.routing_key)
    assert second.user_id == first.user_id
    assert second.headers["x-colobus-delays"] == 1
    assert await nothing_left(bus, broker, "scheduler.events")


async def test_a_rejected_message_is_dead_lettered_with_its_reason(
    bus: Bus, broker: Broker
) -> None:
    """The body is untouched, the key is the original, and headers say where it came from."""

    async def handler(_: Delivery) -> None:
        raise RejectedMessage("no such tenant")

    event = an_event()
    await bus.consume("scheduler.events", handler)
    await bus.publish(event)
    dead = await broker.take("dead_letters")
    assert (dead.body, dead.routing_key) == (event.body, event.routing_key)
    assert dead.header.properties.headers == {
        "x-colobus-reason": "no such tenant",
        "x-colobus-queue": "scheduler.events",
        "x-colobus-exchange": "colobus.events",
        "x-colobus-routing-key": event.routing_key,
        "x-colobus-user": broker.vhost.user,
    }
    assert await nothing_left(bus, broker, "scheduler.events")


async def test_a_dead_command_also_goes_to_the_scheduler(broker: Broker) -> None:
    """A command that its worker rejects ends its step: the scheduler reads it as well."""

    async def handler(_: Delivery) -> None:
        raise RejectedMessage("unknown cloud")

    command, record = a_command(), Recorder()
    async with bus_at(broker.url, name="vm_worker") as worker, bus_at(broker.url) as scheduler:
        await worker.consume("vm_worker.commands", handler)
        await scheduler.consume("scheduler.dead_commands", record)
        await scheduler.publish(command)
        [dead] = await record.wait_for(1)
    assert dead.envelope.id == command.id
    assert dead.headers["x-colobus-reason"] == "unknown cloud"
    assert await broker.depth("dead_letters") == 1


async def test_a_rejected_dead_command_does_not_come_back(bus: Bus, broker: Broker) -> None:
    """What even the reader of dead commands rejects ends in the dead letters, not in a circle."""
    await bus.consume("scheduler.dead_commands", Recorder())
    await broker.put("scheduler.dead_commands", b"garbage")
    dead = await broker.take("dead_letters")
    assert dead.routing_key == "scheduler.dead_commands.scheduler.dead_commands"
    assert await nothing_left(bus, broker, "scheduler.dead_commands")


async def test_a_faulty_handler_is_tried_again_and_then_the_message_is_dead_lettered(
    bus: Bus, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own bug neither blocks the queue nor goes on for ever; its text is the reason."""
    monkeypatch.setattr(settlement, "FAULTY_TRIES", 2)
    record = Recorder()

    async def handler(delivery: Delivery) -> None:
        await record(delivery)
        raise ZeroDivisionError("oh no")

    await bus.consume("scheduler.events", handler)
    await bus.publish(an_event())
    dead = await broker.take("dead_letters")
    assert len(record.deliveries) == 2
    headers = dead.header.properties.headers or {}
    assert headers["x-colobus-reason"] == "ZeroDivisionError: oh no (after 2 tries)"


async def test_a_handler_that_cancels_itself_counts_as_faulty(bus: Bus, broker: Broker) -> None:
    """A stray CancelledError in a handler is no verdict: the message comes back."""
    record = Recorder()

    async def handler(delivery: Delivery) -> None:
        await record(delivery)
        if not delivery.repeated:
            raise asyncio.CancelledError

    await bus.consume("scheduler.events", handler)
    await bus.publish(an_event())
    await record.wait_for(2)
    assert await nothing_left(bus, broker, "scheduler.events")


async def test_a_lost_connection_delivers_again_what_was_not_acknowledged(
    broker: Broker, proxy: Proxy
) -> None:
    """At least once: a second delivery is marked, and waits until the first handler is done."""
    record, running, overlaps = Recorder(), 0, 0
    go_on = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        nonlocal running, overlaps
        running += 1
        overlaps += running > 1
        await record(delivery)
        await go_on.wait()
        running -= 1

    async with bus_at(proxy.url) as bus:
        await bus.consume("scheduler.events", handler)
        await bus.publish(an_event())
        await record.wait_for(1)
        await proxy.refuse()  # or it may be back before anybody could see that it was away
        await proxy.cut()
        await until(lambda: not bus.connected())
        await proxy.accept()
        await until(bus.connected)
        await bus.publish(an_event())  # a round trip: the redelivery has been sent by now
        go_on.set()
        deliveries = await record.wait_for(3)
        assert await nothing_left(bus, broker, "scheduler.events")
    first = deliveries[0].envelope.id
    assert [d.repeated for d in deliveries if d.envelope.id == first] == [False, True]
    assert overlaps <= 1, "only the two different messages may run at once"


async def test_a_headless_republication_is_repeated(bus: Bus) -> None:
    """The publisher's own word that it may have published before is believed."""
    record = Recorder()
    await bus.consume("scheduler.events", record)
    await bus.publish(an_event(), repeated=True)
    assert (await record.wait_for(1))[0].repeated


async def test_an_oversized_message_is_dead_lettered_whole(bus: Bus, broker: Broker) -> None:
    """A body beyond the limit is not even decoded; it still arrives whole in the dead letters."""
    await bus.consume("scheduler.events", Recorder())
    await broker.put("scheduler.events", b"{" * (MAX_BYTES + 1))
    dead = await broker.take("dead_letters")
    assert len(dead.body) == MAX_BYTES + 1


async def test_draining_finishes_what_is_in_hand_and_takes_no_more(broker: Broker) -> None:
    """After drain: the handler under way has ended and is acknowledged, the next was not begun."""
    record, go_on = Recorder(), asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        await record(delivery)
        await go_on.wait()

    async with bus_at(broker.url) as bus, bus_at(broker.url) as publisher:
        await bus.consume("scheduler.events", handler, prefetch=1)
        await publisher.publish(an_event())
        await record.wait_for(1)
        draining = asyncio.create_task(bus.drain(30))
        await publisher.publish(an_event())
        assert not draining.done()
        go_on.set()
        await draining
        assert len(record.deliveries) == 1
    assert await broker.depth("scheduler.events") == 1


async def test_draining_gives_back_what_does_not_end_in_time(broker: Broker) -> None:
    """A handler that is cut off by the end of the drain was not acknowledged: another gets it."""
    record, for_ever = Recorder(), asyncio.Event()

    async def stuck(delivery: Delivery) -> None:
        await record(delivery)
        await for_ever.wait()

    async with bus_at(broker.url) as bus:
        await bus.consume("scheduler.events", stuck)
        await bus.publish(an_event())
        await record.wait_for(1)
        await bus.drain(0)
    successor = Recorder()
    async with bus_at(broker.url) as bus:
        await bus.consume("scheduler.events", successor)
        [again] = await successor.wait_for(1)
    assert again.repeated


async def test_consuming_an_undeclared_queue_fails_at_once(bus: Bus) -> None:
    """A missing queue is the operator's to declare; the error says how."""
    with pytest.raises(TopologyMissing, match=r"services\.admin install"):
        await bus.consume("no.such.queue", Recorder())
