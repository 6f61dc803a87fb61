"""The corner of the broker that the outbox's tests need: the status exchange and one queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import aiohttp

from shared.bus import Bus, Delivery
from shared.contract import topology
from tests.support.broker import VirtualHost

QUEUE = "front_door.status"


@asynccontextmanager
async def management(vhost: VirtualHost) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with the broker's HTTP API."""
    login = {"Authorization": aiohttp.encode_basic_auth(vhost.user, vhost.password)}
    async with aiohttp.ClientSession(
        vhost.management, headers=login, raise_for_status=True
    ) as session:
        yield session


async def declare_status_queue(vhost: VirtualHost) -> None:
    """Declare the exchange and the queue, and bind them."""
    async with management(vhost) as session:
        exchange = f"/api/exchanges/{vhost.name}/{topology.STATUS}"
        await session.put(exchange, json={"type": "topic", "durable": True})
        arguments = {"x-queue-type": "quorum"}
        queue = f"/api/queues/{vhost.name}/{QUEUE}"
        await session.put(queue, json={"durable": True, "arguments": arguments})
    await bind(vhost)


async def bind(vhost: VirtualHost) -> None:
    """Bind the queue to everything."""
    async with management(vhost) as session:
        binding = f"/api/bindings/{vhost.name}/e/{topology.STATUS}/q/{QUEUE}"
        await session.post(binding, json={"routing_key": "#"})


async def unbind(vhost: VirtualHost) -> None:
    """Take the binding away, so that messages are unroutable."""
    async with management(vhost) as session:
        binding = f"/api/bindings/{vhost.name}/e/{topology.STATUS}/q/{QUEUE}"
        await session.delete(f"{binding}/{quote('#', safe='')}")


async def cut_connections(vhost: VirtualHost) -> int:
    """Close all connections to the virtual host; return how many there were."""
    async with management(vhost) as session:
        async with session.get(f"/api/vhosts/{vhost.name}/connections") as answer:
            names = [connection["name"] for connection in await answer.json()]
        for name in names:
            await session.delete(f"/api/connections/{quote(name)}")
    return len(names)


class Reader:
    """Consumes the queue and keeps what came."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._news = asyncio.Condition()

    async def start(self, bus: Bus, prefetch: int = 1) -> None:
        """Begin to consume; with a prefetch of 1 the order is the queue's."""
        await bus.consume(QUEUE, self._take, prefetch=prefetch)

    async def _take(self, delivery: Delivery) -> None:
        async with self._news:
            self.deliveries.append(delivery)
            self._news.notify_all()

    async def until(self, count: int, seconds: float = 30) -> list[Delivery]:
        """Wait until ``count`` different messages have come."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: len(self.ids) >= count)
        return self.deliveries

    @property
    def ids(self) -> list[str]:
        """The ids of the messages in order of first arrival."""
        return list(dict.fromkeys(delivery.envelope.id for delivery in self.deliveries))
