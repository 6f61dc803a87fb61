"""When the cloud itself said that a server was made: Nova's ``instance.create.end``.

Its timestamp is that of its sending, in microseconds, whereas the API keeps ``launched_at`` in
whole seconds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import aiormq
from aiormq.abc import DeliveredMessage

from services.vm_worker.notifications import BINDINGS, ServerNotified, read
from shared.worker.marks import Marks

_ACTIVE = "ACTIVE"


@asynccontextmanager
async def listening(url: str, marks: Marks) -> AsyncIterator[dict[str, datetime]]:
    """Listen on the cloud's broker; yield {resource id: when its server was made}, as it fills.

    The queue is our own and goes with the connection.
    """
    made: dict[str, datetime] = {}

    async def take(message: DeliveredMessage) -> None:
        told = read(message.body, marks)
        # Of a server that becomes active, the end of its creation is the first that is told.
        if isinstance(told, ServerNotified) and told.server.status == _ACTIVE:
            made.setdefault(told.resource_id, told.at)

    connection = await aiormq.connect(url)
    try:
        channel = await connection.channel()
        queue = (await channel.queue_declare(exclusive=True)).queue
        assert queue is not None, "the broker names it"
        for binding in BINDINGS:
            if binding.exchange == "nova":
                await channel.queue_bind(queue, binding.exchange, routing_key=binding.key)
        await channel.basic_consume(queue, take, no_ack=True)
        yield made
    finally:
        await connection.close()
