"""Live queues: what happens from now on, for this replica alone, and never at a price.

Exclusive, classic and bounded: the oldest go when we are slow, all goes with the connection.
Whoever needs everything reads a work queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiormq
import structlog
from aiormq.abc import FieldTable

from shared.bus.delivery import Incoming
from shared.bus.subscription import Declare
from shared.contract.codec import UndecodableMessage
from shared.contract.identifiers import new_ulid
from shared.contract.topology import Binding
from shared.runtime.errors import ColobusError

_log = structlog.get_logger(__name__)


def live_queue(service: str, bindings: Sequence[Binding], max_length: int) -> Declare:
    """Declare ``<service>.live.<ulid>`` on each fresh channel; the name is new each time.

    After a lost connection the broker may hold the former one for some time yet.
    """

    async def declare(channel: aiormq.Channel) -> str:
        name = f"{service}.live.{new_ulid()}"
        arguments: FieldTable = {"x-max-length": max_length, "x-overflow": "drop-head"}
        await channel.queue_declare(name, exclusive=True, auto_delete=True, arguments=arguments)
        for binding in bindings:
            await channel.queue_bind(name, binding.exchange, routing_key=binding.key)
        return name

    return declare


async def let_go(incoming: Incoming, failure: BaseException) -> str:
    """What a live handler fails on is logged and gone: its work queue keeps the original.

    That it can't be read, or was refused, is the message's doing; all else is a fault of ours.
    """
    if isinstance(failure, UndecodableMessage | ColobusError | asyncio.CancelledError):
        _log.warning("live message ignored", queue=incoming.queue, error=str(failure))
        return "ignored"
    _log.error("live handler failed", queue=incoming.queue, exc_info=failure)
    return "faulty"
