"""Finding a broker, keeping it, and knowing when a consumer is gone for good."""

from __future__ import annotations

import asyncio

import pytest

from shared.bus import Bus, BusUnavailable, ConsumerLost, TopologyMissing
from shared.contract.topology import TOPOLOGY
from shared.runtime.errors import ConfigurationError
from tests.support.bus import Broker, Recorder, an_event, bus_at, until
from tests.support.proxy import Proxy

pytestmark = pytest.mark.timeout(120)
NOBODY = "amqp://guest:guest@127.0.0.1:1/nothing"


async def test_a_dead_broker_is_passed_over(broker: Broker) -> None:
    """With several URLs the first that answers is taken."""
    async with bus_at(NOBODY, broker.url) as bus:
        await bus.publish(an_event())
    assert await broker.depth("scheduler.events") == 1


async def test_when_its_broker_dies_the_bus_moves_to_another(broker: Broker, proxy: Proxy) -> None:
    """Consumers and publishers go on at the second URL when the first is gone."""
    record = Recorder()
    async with bus_at(proxy.url, broker.url) as bus:
        await bus.consume("scheduler.events", record)
        assert proxy.accepted == 1
        await proxy.refuse()
        await proxy.cut()
        await bus.publish(an_event(), timeout=60)
        await record.wait_for(1)
        await until(bus.connected)


async def test_without_any_broker_connecting_fails_in_time() -> None:
    """The first connection is bounded, so that a supervisor sees the process fail."""
    with pytest.raises(BusUnavailable, match=r"no broker in 0\.3 s"):
        await Bus.connect([NOBODY], name="scheduler", patience=0.3)


async def test_a_wrong_password_is_told_without_showing_it(broker: Broker) -> None:
    """The refusal is the broker's; the password is in no text of ours."""
    wrong = broker.url.replace(broker.vhost.password, "not-the-password")
    with pytest.raises(BusUnavailable, match="ACCESS_REFUSED") as refused:
        await Bus.connect([wrong], name="scheduler", patience=1)
    assert "not-the-password" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["", "localhost", "http://user:secret@host/", "amqp://", "amqp://[x/"]
)
async def test_a_bad_url_is_a_configuration_error(url: str) -> None:
    """Told at once, and without what might be a password."""
    with pytest.raises(ConfigurationError) as bad:
        await Bus.connect([url], name="scheduler")
    assert "secret" not in str(bad.value)


async def test_readiness_follows_connection_and_consumers(broker: Broker, proxy: Proxy) -> None:
    """Not ready while the broker is away; ready again with every consumer on its queue."""
    async with bus_at(proxy.url) as bus:
        await bus.consume("scheduler.events", Recorder())
        assert bus.connected()
        await proxy.refuse()
        await proxy.cut()
        await until(lambda: not bus.connected())
        await proxy.accept()
        await until(bus.connected)


async def test_an_outage_of_the_broker_does_not_fail_the_process(
    broker: Broker, proxy: Proxy
) -> None:
    """However long no broker is there, consumers wait for it: restarting would not help."""
    record = Recorder()
    async with bus_at(proxy.url, patience=0.2) as bus:
        await bus.consume("scheduler.events", record)
        failing = asyncio.create_task(bus.wait_failed())
        await proxy.refuse()
        await proxy.cut()
        done, _ = await asyncio.wait([failing], timeout=1)  # five times its patience
        assert not done
        await proxy.accept()
        await bus.publish(an_event(), timeout=60)
        await record.wait_for(1)
        failing.cancel()


async def test_a_consumer_is_made_again_when_its_queue_is(bus: Bus, broker: Broker) -> None:
    """The queue is deleted under the consumer and declared anew: it goes on."""
    record = Recorder()
    await bus.consume("scheduler.events", record)
    failing = asyncio.create_task(bus.wait_failed())
    await broker.delete_queue("scheduler.events")
    await until(lambda: not bus.connected())
    await broker.declare()
    await until(bus.connected)
    await bus.publish(an_event())
    await record.wait_for(1)
    assert not failing.done()
    failing.cancel()


async def test_a_consumer_that_cannot_be_made_again_fails_the_process(broker: Broker) -> None:
    """The watchdog: a queue that stays away ends the process, loudly, after its patience."""
    async with bus_at(broker.url, patience=0.5) as bus:
        failing = asyncio.create_task(bus.wait_failed())
        await bus.consume("scheduler.events", Recorder())
        await broker.delete_queue("scheduler.events")
        with pytest.raises(ConsumerLost, match=r"scheduler\.events"):
            await failing


async def test_a_queue_that_one_may_not_read_fails_at_once(bus: Bus) -> None:
    """A refusal by the broker is an error at the start already."""
    with pytest.raises((ConsumerLost, TopologyMissing)):
        await bus.consume("amq.rabbitmq.trace", Recorder())


async def test_the_whole_topology_is_found(bus: Bus) -> None:
    """After the admin step nothing is missing."""
    await bus.check_topology()


async def test_everything_missing_is_named_at_once(bus: Bus, broker: Broker) -> None:
    """The error lists each queue and exchange that is not declared, and the way out."""
    await broker.delete_queue("scheduler.events")
    await broker.delete_queue("dead_letters")
    with pytest.raises(TopologyMissing) as error:
        await bus.check_topology()
    assert error.value.missing == ["queue scheduler.events", "queue dead_letters"]
    assert len(TOPOLOGY.work_queues) > 2
