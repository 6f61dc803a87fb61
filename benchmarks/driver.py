"""Puts requests in at one end of a chain and sees them come out at the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

_PREFETCH = 256
#: How long nothing may come out before something must be wrong, in seconds.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Chain:
    """``make()`` returns a new request's subject, exchange, routing key and message.

    ``ended(body)`` returns the subject whose end a message of ``queue`` tells, if it does.
    """

    url: str
    queue: str
    make: Callable[[], tuple[str, str, str, aio_pika.Message]]
    ended: Callable[[bytes], str | None]


@dataclass(frozen=True)
class Driven:
    """How long it took: all in all, and each from its publication to its end, in seconds."""

    seconds: float
    took: list[float]
    messages: int

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return len(self.took) / self.seconds


class _Run:
    def __init__(self, chain: Chain, requests: int, in_flight: int) -> None:
        self._requests = requests
        self._chain = chain
        self._began: dict[str, float] = {}
        self._room = asyncio.Semaphore(in_flight)
        self.took: list[float] = []
        self.messages = 0
        self.all_out = asyncio.Event()

    async def put(self, publish: Callable[..., Awaitable[object]]) -> None:
        async with asyncio.timeout(_PATIENCE):
            await self._room.acquire()
        subject, exchange, key, message = self._chain.make()
        self._began[subject] = time.perf_counter()
        await publish(exchange, key, message)

    async def take(self, incoming: AbstractIncomingMessage) -> None:
        self.messages += 1
        subject = self._chain.ended(incoming.body)
        await incoming.ack()
        began = self._began.pop(subject or "", None)
        if began is not None:
            self.took.append(time.perf_counter() - began)
            self._room.release()
            if len(self.took) == self._requests:
                self.all_out.set()


async def drive(chain: Chain, requests: int, in_flight: int) -> Driven:
    """Send ``requests``, ``in_flight`` of them under way at once, and wait for all ends."""
    connection = await aio_pika.connect(chain.url)
    async with connection:
        out = await connection.channel(publisher_confirms=True)
        back = await connection.channel()
        await back.set_qos(_PREFETCH)
        this = _Run(chain, requests, in_flight)
        tag = await (queue := await back.get_queue(chain.queue)).consume(this.take)

        async def publish(exchange: str, key: str, message: aio_pika.Message) -> None:
            await (await out.get_exchange(exchange, ensure=False)).publish(message, key)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(requests):  # confirmed side by side; the room in flight bounds them
                group.create_task(this.put(publish))
        async with asyncio.timeout(_PATIENCE):
            await this.all_out.wait()
        seconds = time.perf_counter() - began
        await queue.cancel(tag)
        return Driven(seconds, this.took, this.messages)
