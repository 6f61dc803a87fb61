"""A worker's end of the bus, put together: the same for every worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from shared.bus import Bus, QueryHandlers, answering, open_bus
from shared.contract.messages import Message
from shared.runtime.service import Service
from shared.worker import places
from shared.worker.command import Handlers
from shared.worker.command_worker import CommandWorker
from shared.worker.limits import Limits
from shared.worker.settings import WorkerSettings

C = TypeVar("C")


async def serve_commands(
    service: Service,
    settings: WorkerSettings,
    handlers: Handlers[C],
    context: C,
    *,
    name: str,
    kind: str,
    at_once: int,
    queries: QueryHandlers[C] | None = None,
    backend_of: Callable[[Message], str] = places.backend_of,
) -> Bus:
    """Take commands, and answer ``queries``, from now until the service drains.

    ``name`` is the worker's: of its queues, and the source of its events; ``kind`` the word of its
    events' routing keys where they are about no resource of its kinds. Each backend that
    ``backend_of`` names has a bound of its own: ``at_once`` commands work on it at most.
    """
    bus = await open_bus(service, settings, name)
    limits = Limits(name, backend_of, maximum=at_once)
    worker = CommandWorker(name, bus, handlers, context, kind=kind, limits=limits)
    await worker.start(prefetch=settings.command_prefetch)
    if queries is not None:
        await bus.serve_queries(name, answering(name, queries, context))
    service.on_drain(lambda: bus.drain(settings.drain_seconds))
    return bus
