"""Live queues: what happens now, for one replica."""

from __future__ import annotations

import asyncio

import pytest

from shared.bus import Bus, Delivery
from shared.bus.metrics import CONSUMED
from shared.contract.topology import EVENTS, Binding
from tests.support.bus import Broker, Recorder, an_event, bus_at, until
from tests.support.proxy import Proxy

pytestmark = pytest.mark.timeout(120)
ALL_EVENTS = [Binding(EVENTS, "#")]


async def test_every_replica_sees_everything_in_order(bus: Bus, broker: Broker) -> None:
    """Two subscribers both get all, in the order of publishing; the work queue has it as well."""
    one, two = Recorder(), Recorder()
    await bus.subscribe_live(ALL_EVENTS, one)
    await bus.subscribe_live(ALL_EVENTS, two)
    events = [an_event() for _ in range(20)]
    for event in events:
        await bus.publish(event)
    await one.wait_for(20)
    await two.wait_for(20)
    assert one.ids == two.ids == [event.id for event in events]
    assert await broker.depth("scheduler.events") == 20


async def test_a_failing_live_handler_delays_and_dead_letters_nothing(
    bus: Bus, broker: Broker
) -> None:
    """Live messages are copies: what fails, or is garbage, is logged and gone, each by its name."""
    record = Recorder()

    def lost(outcome: str) -> float:
        return float(CONSUMED.labels("scheduler.live", outcome)._value.get())

    ignored, faulty = lost("ignored"), lost("faulty")

    async def handler(delivery: Delivery) -> None:
        await record(delivery)
        raise ZeroDivisionError

    await bus.subscribe_live(ALL_EVENTS, handler)
    await broker.put("bigtop.vm.X", b"garbage", exchange=EVENTS)
    await bus.publish(an_event())
    await bus.publish(an_event())
    await record.wait_for(2)
    await until(lambda: lost("faulty") == faulty + 2)
    assert lost("ignored") == ignored + 1
    assert await broker.depth("dead_letters") == 0


async def test_a_live_subscription_comes_back_after_an_outage(broker: Broker, proxy: Proxy) -> None:
    """With a gap, but it comes back, on a queue of a new name."""
    record = Recorder()
    async with bus_at(proxy.url) as bus:
        await bus.subscribe_live(ALL_EVENTS, record)
        await proxy.refuse()  # or it may be back before anybody could see that it was away
        await proxy.cut()
        await until(lambda: not bus.connected())
        await proxy.accept()
        await until(bus.connected)
        await bus.publish(an_event())
        await record.wait_for(1)


async def test_a_slow_live_subscriber_loses_the_oldest_first(bus: Bus) -> None:
    """Bounded: what exceeds the length is dropped from the head, publishers notice nothing."""
    record, go_on = Recorder(), asyncio.Event()

    async def slow(delivery: Delivery) -> None:
        await record(delivery)
        await go_on.wait()

    await bus.subscribe_live(ALL_EVENTS, slow, max_length=10)
    events = [an_event() for _ in range(400)]
    for event in events:
        await bus.publish(event)
    go_on.set()
    await until(lambda: record.ids and record.ids[-1] == events[-1].id)
    assert len(record.ids) < 400
