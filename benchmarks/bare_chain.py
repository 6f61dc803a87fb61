"""The reference of `chain`: the same hops over quorum queues by plain aio-pika, nothing else.

``python -m benchmarks.bare_chain scheduler | worker`` with the broker's URL in BENCH_AMQP_URL. A
VM's making is seven messages in a row: request, command, event, command, two events at once,
status. Each is consumed, decoded, followed by a freshly encoded, confirmed one, and acknowledged.
No ledger, no outbox, no look at who sent it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

import aio_pika
import msgspec
import uvloop
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from aiormq.abc import FieldTable

from shared.contract.identifiers import new_ulid

EXCHANGE = "bench.chain"
#: Queue → binding key of the one exchange.
QUEUES = {name: f"{name}.#" for name in ("request", "command", "event", "status")}
PREFETCH = 64


class Hop(msgspec.Struct):
    """A message: what comes next is told by its name. ``data`` makes it as large as ours."""

    id: str
    subject: str
    name: str
    data: dict[str, object]


_decoder = msgspec.json.Decoder(Hop)
#: What each message is followed by.
NEXT = {
    "request": ("command.port",),
    "command.port": ("event.port",),
    "event.port": ("command.server",),
    "command.server": ("event.started", "event.observed"),
    "event.started": (),
    "event.observed": ("status",),
}
ROLES = {"scheduler": ("request", "event"), "worker": ("command",)}


async def declare(channel: aio_pika.abc.AbstractChannel) -> AbstractExchange:
    """Declare the exchange and the queues."""
    exchange = await channel.declare_exchange(EXCHANGE, "topic", durable=True)
    for name, key in QUEUES.items():
        arguments: FieldTable = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
        queue = await channel.declare_queue(f"bench.{name}", durable=True, arguments=arguments)
        await queue.bind(exchange, key)
    return exchange


def message(hop: Hop) -> aio_pika.Message:
    """Return the message, as persistent as ours."""
    return aio_pika.Message(
        msgspec.json.encode(hop),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=hop.id,
    )


def follow(exchange: AbstractExchange) -> Callable[[AbstractIncomingMessage], Awaitable[None]]:
    """Return the consumer that hands on."""

    async def handle(incoming: AbstractIncomingMessage) -> None:
        hop = _decoder.decode(incoming.body)
        followers = [Hop(new_ulid(), hop.subject, name, hop.data) for name in NEXT[hop.name]]
        await asyncio.gather(*(exchange.publish(message(one), one.name) for one in followers))
        await incoming.ack()

    return handle


async def serve(role: str, url: str) -> None:
    """Serve until killed."""
    connection = await aio_pika.connect(url)
    exchange = await declare(await connection.channel(publisher_confirms=True))
    for name in ROLES[role]:
        channel = await connection.channel()
        await channel.set_qos(PREFETCH)
        await (await channel.get_queue(f"bench.{name}")).consume(follow(exchange))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], os.environ["BENCH_AMQP_URL"]))
