"""Looking at the real broker from outside the bus, and putting things there that it never would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiormq
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from services.admin.broker import User, install_broker
from services.admin.management import Management
from shared.bus import Bus, Delivery
from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.messages import ProvisionVm, VmBuildStarted
from shared.contract.outgoing import OutgoingMessage
from tests.support.broker import VirtualHost

PATIENCE = 5.0


class Broker:
    """The administrator's own view of a virtual host with the whole topology in it."""

    def __init__(self, vhost: VirtualHost, connection: aiormq.Connection) -> None:
        self.vhost = vhost
        self.url = vhost.url
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def of(cls, vhost: VirtualHost, *users: User) -> AsyncIterator[Broker]:
        """Declare the topology, and these users, in ``vhost``."""
        connection = await aiormq.connect(vhost.url)
        broker = cls(vhost, connection)
        try:
            await broker.declare(*users)
            yield broker
        finally:
            await connection.close()

    async def declare(self, *users: User) -> None:
        """Declare what is missing of the topology, and these users."""
        vhost = self.vhost
        async with Management(vhost.management, vhost.user, vhost.password) as management:
            await install_broker(management, vhost.name, users)

    async def channel(self) -> aiormq.Channel:
        """A channel of the administrator's."""
        channel = await self._connection.channel(publisher_confirms=True)
        assert isinstance(channel, aiormq.Channel)
        return channel

    async def put(
        self,
        queue: str,
        body: bytes,
        properties: Basic.Properties | None = None,
        *,
        exchange: str = "",
    ) -> None:
        """Put these bytes onto the queue (or, with ``exchange``, under that routing key)."""
        channel = await self.channel()
        await channel.basic_publish(
            body, exchange=exchange, routing_key=queue, properties=properties, mandatory=True
        )
        await channel.close()

    async def take(self, queue: str, *, timeout: float = 20) -> DeliveredMessage:
        """Wait for the next message on the queue and take it off."""
        channel = await self.channel()
        arrived: asyncio.Future[DeliveredMessage] = asyncio.get_running_loop().create_future()

        async def arrive(message: DeliveredMessage) -> None:
            if not arrived.done():
                arrived.set_result(message)

        await channel.basic_qos(prefetch_count=1)
        await channel.basic_consume(queue, arrive)
        async with asyncio.timeout(timeout):
            message = await arrived
        assert message.delivery_tag is not None
        await channel.basic_ack(message.delivery_tag)
        await channel.close()
        return message

    async def take_all(self, queue: str, *, timeout: float = 30) -> list[DeliveredMessage]:
        """Take off all that waits on the queue now."""
        waiting, taken = await self.depth(queue), list[DeliveredMessage]()
        channel = await self.channel()
        all_there = asyncio.Event()

        async def arrive(message: DeliveredMessage) -> None:
            taken.append(message)
            if len(taken) >= waiting:
                all_there.set()

        await channel.basic_consume(queue, arrive, no_ack=True)
        async with asyncio.timeout(timeout):
            await all_there.wait()
        await channel.close()
        return taken

    async def depth(self, queue: str) -> int:
        """How many messages wait on the queue."""
        channel = await self.channel()
        answer = await channel.queue_declare(queue, passive=True)
        await channel.close()
        return answer.message_count or 0

    async def delete_queue(self, queue: str) -> None:
        """Delete it, with its consumers and messages."""
        channel = await self.channel()
        await channel.queue_delete(queue)
        await channel.close()


async def nothing_left(bus: Bus, broker: Broker, queue: str) -> bool:
    """End the bus in good order and tell whether the queue is empty: all was acknowledged."""
    await bus.drain(30)
    await bus.close()
    return await broker.depth(queue) == 0


async def until(condition: Callable[[], object], *, timeout: float = 30) -> None:
    """Wait until ``condition`` (a plain or coroutine function) is true."""
    async with asyncio.timeout(timeout):
        while True:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def bus_at(
    *urls: str, name: str = "scheduler", patience: float = PATIENCE
) -> AsyncIterator[Bus]:
    """A bus at these brokers, closed in the end."""
    bus = await Bus.connect(urls, name=name, patience=patience)
    try:
        yield bus
    finally:
        await bus.close()


class Recorder:
    """A handler that keeps what it gets."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []

    async def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)

    @property
    def ids(self) -> list[str]:
        """The ids of the messages, in order."""
        return [delivery.envelope.id for delivery in self.deliveries]

    async def wait_for(self, count: int) -> list[Delivery]:
        """Wait until there are ``count`` deliveries."""
        await until(lambda: len(self.deliveries) >= count)
        return self.deliveries


def an_event(id: str | None = None) -> OutgoingMessage:
    """A message for the queue ``scheduler.events``."""
    message = VmBuildStarted(server_id="s-1")
    envelope = envelope_for(message, source="vm_worker", subject="vm-1", tenant="bigtop", id=id)
    return outgoing.event("vm", envelope, message)


def a_command() -> OutgoingMessage:
    """A message for the queue ``vm_worker.commands``."""
    message = ProvisionVm(cloud="devcloud", image="cirros", flavor="small", port_id="p-1")
    envelope = envelope_for(message, source="scheduler", subject="vm-1", tenant="bigtop")
    return outgoing.command("vm_worker", envelope, message)
