"""What the table `ACCESS` does not list is refused by the real broker, to each service.

The rows are made of the table and of the topology: all that anybody says, and all that anybody
reads, is tried by everyone. A new service, exchange or queue has its rows by being declared.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import aiormq
import pytest
from aiormq.abc import AbstractConnection

from services.admin.access import ACCESS
from services.admin.environment import environment_of
from services.admin.settings import AdminSettings
from services.scheduler.origins import WORDS
from shared.bus.copies import dead_letter_key
from shared.bus.delivery import Incoming
from shared.contract import topology
from shared.contract.kinds import KINDS
from shared.contract.topology import TOPOLOGY

T = TypeVar("T")
#: Something to be said: an exchange and a routing key.
Said = tuple[str, str]
QUEUES = {
    **{queue.name: queue.bindings for queue in TOPOLOGY.work_queues},
    **{queue.name: queue.bindings for queue in TOPOLOGY.query_queues},
}
DELAYS = tuple(queue.name for queue in TOPOLOGY.delay_queues)
#: Channels that are open at once: most end by being refused.
AT_ONCE = 16


def _keys() -> dict[str, set[str]]:
    """{exchange: a key of each sort that anybody says something under}."""
    kinds = {f"bigtop.{kind}" for kind in KINDS}
    events = {f"bigtop.{word}.Happened" for word in {*WORDS, "webhook"}}
    keys = {
        topology.REQUESTS: {f"{kind}.create" for kind in kinds},
        topology.EVENTS: events,
        topology.STATUS: {f"{kind}.active" for kind in kinds},
    }
    for exchange in (topology.COMMANDS, topology.QUERIES):
        bindings = [one for of_queue in QUEUES.values() for one in of_queue]
        keys[exchange] = {
            one.key.replace("*", "Do") for one in bindings if one.exchange == exchange
        }
    keys |= {topology.for_ours(exchange): keys[exchange] for exchange in topology.OPEN_TO_TENANTS}
    keys |= {exchange: set(QUEUES) for exchange in ("", *DELAYS)}
    said = [(exchange, key) for exchange, some in keys.items() for key in some]
    buried = {_buried(queue, *one) for queue in QUEUES for one in said if _comes_to(queue, *one)}
    return keys | {topology.DEAD_LETTERS: buried}


def _comes_to(queue: str, exchange: str, key: str) -> bool:
    """By a binding of the queue, or past them all, as whoever answers queries could have it."""
    return exchange == "" or topology.belongs(queue, exchange, key)


def _buried(queue: str, exchange: str, key: str) -> str:
    """Under what the queue's consumer gives up what came to it this way."""
    return dead_letter_key(_incoming(queue, exchange, key))


def _incoming(queue: str, exchange: str, key: str) -> Incoming:
    return Incoming(
        queue=queue,
        body=b"",
        exchange=exchange,
        routing_key=key,
        headers={},
        user_id=None,
        reply_to=None,
        correlation_id=None,
        message_id=None,
        type=None,
        content_type=None,
        redelivered=False,
        delays=0,
        faults=0,
    )


KEYS = _keys()
EVERYTHING = {(exchange, key) for exchange, keys in KEYS.items() for key in keys}


def listed(service: str) -> set[Said]:
    """All that the service may say, as the table has it."""
    access = ACCESS[service]
    publishes = dict(access.publishes)
    publishes |= {
        topology.for_ours(exchange): keys
        for exchange, keys in access.publishes.items()
        if exchange in topology.OPEN_TO_TENANTS
    }
    said = {(e, key) for e, keys in publishes.items() for key in KEYS[e] if re.search(keys, key)}
    for queue in access.consumes:
        said |= {(delay, queue) for delay in DELAYS}
        said |= {
            (topology.DEAD_LETTERS, key)
            for key in KEYS[topology.DEAD_LETTERS]
            if _buries(queue, key)
        }
    return said | {("", queue) for queue in QUEUES if access.answers}


def _buries(queue: str, key: str) -> bool:
    """Tell whether anything that comes to the queue is given up under this key."""
    bare = key.removeprefix(f"{queue}.")
    exchanges = {"", *(binding.exchange for binding in QUEUES[queue])}
    return key in {_buried(queue, exchange, one) for exchange in exchanges for one in (key, bare)}


def test_every_service_has_something_to_say_and_much_that_it_must_not() -> None:
    """No row of the tables below is empty, and no exchange is left out of them."""
    assert KEYS.keys() == {exchange.name for exchange in TOPOLOGY.exchanges} | {""}
    for service in ACCESS:
        allowed = listed(service)
        refused = EVERYTHING - allowed
        assert allowed < EVERYTHING, service
        foreign = {exchange for exchange, _ in refused}
        own = ACCESS[service].publishes.keys()
        assert foreign >= {topology.DEAD_LETTERS, *DELAYS}, f"{service}: queues of others"
        assert foreign >= {topology.REQUESTS, topology.COMMANDS, topology.STATUS} - own, service
        assert {exchange for exchange, _ in allowed} >= own, f"{service}: keys that nobody uses"
        assert QUEUES.keys() - set(ACCESS[service].consumes), service


@pytest.mark.parametrize("service", ACCESS)
async def test_a_service_says_what_is_listed_and_nothing_else(
    installation: AdminSettings, service: str
) -> None:
    """Each key of each exchange, and each queue directly."""

    async def publish(channel: aiormq.Channel, said: Said) -> None:
        await channel.basic_publish(b"", exchange=said[0], routing_key=said[1])

    async with _connected(installation, service) as connection:
        assert await _allowed(connection, EVERYTHING, publish) == listed(service)


@pytest.mark.parametrize("service", ACCESS)
async def test_a_service_reads_its_own_queues_and_no_other(
    installation: AdminSettings, service: str
) -> None:
    """Work queues, queries, dead letters and what is delayed."""

    async def get(channel: aiormq.Channel, queue: str) -> None:
        await channel.basic_get(queue, timeout=30)

    async with _connected(installation, service) as connection:
        readable = await _allowed(connection, {*QUEUES, *DELAYS}, get)
    assert readable == set(ACCESS[service].consumes)


@pytest.mark.parametrize("service", ACCESS)
async def test_a_service_follows_the_exchanges_that_are_listed_and_no_other(
    installation: AdminSettings, service: str
) -> None:
    """By a live queue of its own name; most may not even declare one."""

    async def follow(channel: aiormq.Channel, exchange: str) -> None:
        queue = f"{service}.live.{exchange}"
        await channel.queue_declare(queue, exclusive=True, auto_delete=True)
        await channel.queue_bind(queue, exchange, routing_key="#")

    exchanges = {exchange.name for exchange in TOPOLOGY.exchanges}
    async with _connected(installation, service) as connection:
        assert await _allowed(connection, exchanges, follow) == ACCESS[service].follows.keys()


@asynccontextmanager
async def _connected(settings: AdminSettings, service: str) -> AsyncIterator[AbstractConnection]:
    """As the service's own user."""
    url = environment_of(service, settings)["COLOBUS_AMQP_URLS"].split(",")[0]
    connection = await aiormq.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _allowed(
    connection: AbstractConnection,
    tried: set[T],
    attempt: Callable[[aiormq.Channel, T], Awaitable[None]],
) -> set[T]:
    """Try all of them, each on a channel of its own; return those that the broker let through."""
    places = asyncio.Semaphore(AT_ONCE)

    async def passes(number: int, one: T) -> bool:
        async with places:
            # By numbers of our own: aiormq gives one again before the broker has let go of it.
            channel = await connection.channel(number)
            assert isinstance(channel, aiormq.Channel)
            try:
                await attempt(channel, one)
            except aiormq.ChannelAccessRefused:
                return False
            await channel.close()
            return True

    order = list(tried)
    passed = await asyncio.gather(*(passes(number, one) for number, one in enumerate(order, 1)))
    return {one for one, ok in zip(order, passed, strict=True) if ok}
