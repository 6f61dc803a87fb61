"""A service of nothing but its life: what it does is named by its argument."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from shared.runtime import tracing
from shared.runtime.errors import TemporaryError
from shared.runtime.health import serve_health
from shared.runtime.service import Service, run
from shared.runtime.settings import CommonSettings, load
from shared.runtime.tenants import load_tenants
from shared.runtime.tracing import Kind

#: Of somebody else's work.
OTHER_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

log = structlog.get_logger(__name__)


async def wire(service: Service) -> None:
    """Log each part's end, so that their order shows; then do as the argument says."""
    settings = load(CommonSettings)
    await serve_health(service, settings.http_host, settings.http_port)
    for part in ("first", "second"):
        service.on_close(partial(say, f"closed {part}"))
    service.on_drain(partial(say, "drained"))
    service.spawn("loop", forever())
    await WAYS[sys.argv[1]](service)


async def say(event: str) -> None:
    """Log."""
    log.info(event)


async def forever() -> None:
    """Work until cancelled."""
    try:
        await asyncio.Event().wait()
    finally:
        log.info("loop cancelled")


async def plainly(_: Service) -> None:
    """Nothing more."""


async def with_a_task_that_raises(service: Service) -> None:
    """A background task that fails at once."""

    async def fail() -> None:
        raise LookupError("lost my way")

    service.spawn("doomed", fail())


async def with_a_task_that_returns(service: Service) -> None:
    """A background task that just ends."""
    service.spawn("doomed", asyncio.sleep(0))


async def with_a_drain_that_waits(service: Service) -> None:
    """Work under way that ends when readiness has been asked while draining."""
    asked = asyncio.Event()

    def note() -> None:
        if service.draining.is_set():
            asked.set()

    service.add_readiness("note", note)
    service.on_drain(asked.wait)


async def with_a_drain_that_never_ends(service: Service) -> None:
    """Work that can't be finished."""
    service.on_drain(asyncio.Event().wait)


async def with_a_check_that_fails(service: Service) -> None:
    """One good check, two bad ones."""

    def refuse() -> None:
        raise TemporaryError("no database")

    service.add_readiness("good", lambda: None)
    service.add_readiness("false", lambda: False)
    service.add_readiness("raises", refuse)


async def with_a_closer_that_fails(service: Service) -> None:
    """A part that can't be closed."""

    async def fail() -> None:
        raise LookupError("not to be closed")

    service.on_close(fail)


async def with_an_endless_wiring(_: Service) -> None:
    """Something that isn't there yet, for ever."""
    log.info("waiting for ever")
    await asyncio.Event().wait()


async def with_a_missing_file(_: Service) -> None:
    """An operator's mistake."""
    load_tenants(Path("/nowhere/tenants.yaml"))


async def with_a_bug(_: Service) -> None:
    """Our mistake."""
    raise LookupError("our mistake")


async def with_traces(service: Service) -> None:
    """A traced piece of work for every line on its standard input."""
    service.spawn("work", traced_work(service))


async def traced_work(service: Service) -> None:
    """A line is a ``traceparent``, or empty for work that begins a trace."""
    lines = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await lines.readline():
        with tracing.span("outer", kind=Kind.SERVER, parent=line.decode().strip()):
            with suppress(LookupError), tracing.span("inner", attributes={"a": 1, "b": None}):
                raise LookupError("hidden")
            with tracing.part_of(OTHER_TRACE, "turned"):
                pass
            with tracing.resumed(OTHER_TRACE), tracing.part_of(OTHER_TRACE, "resumed"):
                pass
            log.info("worked", loaded="opentelemetry" in sys.modules)
    await service.draining.wait()


WAYS = {
    way.__name__: way
    for way in (
        plainly,
        with_a_task_that_raises,
        with_a_task_that_returns,
        with_a_drain_that_waits,
        with_a_drain_that_never_ends,
        with_a_check_that_fails,
        with_a_closer_that_fails,
        with_an_endless_wiring,
        with_a_missing_file,
        with_a_bug,
        with_traces,
    )
}

if __name__ == "__main__":
    run("sample", wire)
