"""A queue of a consumer that was killed is emptied, with what that consumer held."""

from __future__ import annotations

import asyncio

import aio_pika
import pytest

from devcloud.broker import QueueNotEmptied, empty_queue
from tests.support.broker import VirtualHost

NAME = "orders"


async def test_what_a_consumer_held_is_thrown_away_too(vhost: VirtualHost) -> None:
    """The broker puts it back when it sees the consumer's end; nothing is thrown away before."""
    async with await aio_pika.connect(vhost.url) as ours:
        channel = await ours.channel(publisher_confirms=True)
        queue = await channel.declare_queue(NAME, durable=True)
        for number in range(3):
            message = aio_pika.Message(str(number).encode())
            await channel.default_exchange.publish(message, routing_key=NAME)
        held = asyncio.Event()

        async def hold(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            del message
            held.set()

        async with await aio_pika.connect(vhost.url) as consumer:
            theirs = await consumer.channel()
            await (await theirs.declare_queue(NAME, passive=True)).consume(hold)
            await held.wait()
            with pytest.raises(QueueNotEmptied, match="served"):
                await asyncio.to_thread(empty_queue, vhost.url, NAME, within=0)
            emptying = asyncio.create_task(asyncio.to_thread(empty_queue, vhost.url, NAME))
        assert await emptying == 3
        assert (await queue.declare()).message_count == 0


async def test_a_queue_that_nobody_has_made_is_empty(vhost: VirtualHost) -> None:
    """As at the first start of whoever would serve it."""
    assert await asyncio.to_thread(empty_queue, vhost.url, NAME) == 0
