"""Publishing on the real broker."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from aiormq.abc import FieldTable

from shared.bus import Bus, PublishFailed, Unroutable
from shared.bus.publisher import STALE_SECONDS
from shared.contract import topology
from shared.contract.codec import CONTENT_TYPE, decode
from shared.contract.outgoing import OutgoingMessage
from tests.support.bus import Broker, a_command, an_event, bus_at, until
from tests.support.proxy import Proxy

pytestmark = pytest.mark.timeout(120)


async def test_a_published_message_is_a_persistent_cloudevent_under_our_validated_user(
    bus: Bus, broker: Broker
) -> None:
    """What arrives carries the CloudEvent, its id and type, and who we are, as properties."""
    message = an_event()
    await bus.publish(message)
    arrived = await broker.take("scheduler.events")
    properties = arrived.header.properties
    assert decode(arrived.body)[0].id == message.id
    assert arrived.routing_key == message.routing_key
    assert (properties.message_id, properties.message_type) == (message.id, message.type)
    assert (properties.content_type, properties.delivery_mode) == (CONTENT_TYPE, 2)
    assert (properties.app_id, properties.user_id) == ("scheduler", broker.vhost.user)
    assert properties.timestamp is not None
    assert not properties.headers


async def test_a_republished_message_says_so(bus: Bus, broker: Broker) -> None:
    """`repeated=True` travels as a header, so that receivers look before they make."""
    await bus.publish(an_event(), repeated=True)
    arrived = await broker.take("scheduler.events")
    assert arrived.header.properties.headers == {"x-colobus-repeated": True}


@pytest.mark.parametrize(
    ("exchange", "key"),
    [(topology.COMMANDS, "nobody.ProvisionVm"), ("no.such.exchange", "a.b.c")],
)
async def test_a_message_that_no_queue_takes_is_unroutable(
    bus: Bus, exchange: str, key: str
) -> None:
    """Mandatory: a message without a queue is an error for its publisher, never lost silently."""
    event = an_event()
    lost = OutgoingMessage(exchange, key, event.id, event.type, event.body)
    with pytest.raises(Unroutable):
        await bus.publish(lost)
    await bus.publish(event)


async def test_one_bad_message_among_many_is_refused_alone(bus: Bus, broker: Broker) -> None:
    """The broker closes the channel over a bad message; the others on it still get through."""
    event = an_event()
    bad = OutgoingMessage("no.such.exchange", "a.b.c", event.id, event.type, event.body)
    mixed = [an_event() for _ in range(60)]
    mixed[20] = mixed[40] = bad
    results = await asyncio.gather(*map(bus.publish, mixed), return_exceptions=True)
    refused = [m for m, result in zip(mixed, results, strict=True) if result is not None]
    assert refused == [bad, bad]
    arrived = {m.header.properties.message_id for m in await broker.take_all("scheduler.events")}
    assert arrived == {m.id for m in mixed if m is not bad}


@pytest.mark.parametrize("key", ["x" * 300, "ü" * 200])
async def test_what_does_not_fit_into_amqp_is_refused_and_hurts_nobody(bus: Bus, key: str) -> None:
    """A routing key of more than 255 bytes is its publisher's error at once."""
    event = an_event()
    bad = OutgoingMessage(event.exchange, key, event.id, event.type, event.body)
    outcomes = await asyncio.gather(bus.publish(bad), bus.publish(event), return_exceptions=True)
    assert type(outcomes[0]).__name__ == "PublishRefused"
    assert outcomes[1] is None


async def test_the_same_message_twice_at_once_is_confirmed_twice(bus: Bus, broker: Broker) -> None:
    """Two publishers of one message (outbox and its sweeper) both get their answer."""
    event = an_event()
    lost = OutgoingMessage(topology.COMMANDS, "nobody.X", event.id, event.type, event.body)
    results = await asyncio.gather(
        bus.publish(event), bus.publish(event), bus.publish(lost), return_exceptions=True
    )
    assert [type(result) for result in results] == [type(None), type(None), Unroutable]
    assert await broker.depth("scheduler.events") == 2


async def test_publish_waits_while_the_connection_is_remade(broker: Broker, proxy: Proxy) -> None:
    """A publisher doesn't notice an outage that ends within its timeout."""
    async with bus_at(proxy.url) as bus:
        await proxy.refuse()
        await proxy.cut()
        await until(lambda: not bus.connected())
        publishing = [asyncio.create_task(bus.publish(an_event(), timeout=60)) for _ in range(20)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in publishing)
        await proxy.accept()
        await asyncio.gather(*publishing)
        assert await broker.depth("scheduler.events") == 20


async def test_publish_fails_as_temporary_when_no_broker_confirms_in_time(proxy: Proxy) -> None:
    """Without a broker the publisher learns it after its timeout, as an error worth retrying."""
    async with bus_at(proxy.url) as bus:
        await proxy.refuse()
        await proxy.cut()
        with pytest.raises(PublishFailed) as failed:
            await bus.publish(an_event(), timeout=0.5)
        assert failed.value.retryable


async def test_no_confirmed_message_is_lost_when_connections_break_in_mid_flight(
    broker: Broker, proxy: Proxy
) -> None:
    """At least once: with cables pulled again and again, everything that was asked for is there."""
    messages = [an_event() for _ in range(1500)]
    async with bus_at(proxy.url) as bus:
        publishing = asyncio.gather(*(bus.publish(m, timeout=60) for m in messages))
        for cuts in range(3):
            await until(partial(_connected_again, proxy, cuts))
            await asyncio.sleep(0.05)  # some are confirmed, some are on their way
            await proxy.cut()
        await publishing
    arrived = {m.header.properties.message_id for m in await broker.take_all("scheduler.events")}
    assert arrived == {m.id for m in messages}
    assert proxy.accepted > 1


def _connected_again(proxy: Proxy, cuts: int) -> bool:
    return proxy.accepted > cuts


async def test_a_full_queue_is_a_temporary_failure(bus: Bus, broker: Broker) -> None:
    """A queue at its limit refuses (reject-publish); overload is answered, not suffered."""
    channel = await broker.channel()
    full: FieldTable = {"x-max-length": 1, "x-overflow": "reject-publish"}
    await channel.queue_declare("full", arguments=full)
    await channel.queue_bind("full", topology.COMMANDS, routing_key="#")
    await broker.put("full", b"x")
    assert await broker.depth("full") == 1
    with pytest.raises(PublishFailed, match="full"):
        await bus.publish(a_command(), timeout=1)


async def test_a_queue_that_was_full_for_long_takes_what_waits(bus: Bus, broker: Broker) -> None:
    """Refusals make the publisher take another channel, and it gives up those it had."""
    channel = await broker.channel()
    full: FieldTable = {"x-max-length": 1, "x-overflow": "reject-publish"}
    await channel.queue_declare("full", arguments=full)
    await channel.queue_bind("full", topology.COMMANDS, routing_key="#")
    await broker.put("full", b"x")
    publishing = asyncio.create_task(bus.publish(a_command(), timeout=60))
    await asyncio.wait([publishing], timeout=3 * STALE_SECONDS)
    assert not publishing.done(), "refused, and tried again"
    await channel.queue_purge("full")
    await publishing
    session = bus._connection.current
    assert session is not None
    channels = session._connection.channels.values()
    assert sum(1 for one in channels if one is not None and not one.is_closed) <= 2
