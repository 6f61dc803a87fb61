"""A service of nothing but its life: what it does is named by its argument."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

import structlog

from shared.runtime.errors import TemporaryError
from shared.runtime.health import serve_health
from shared.runtime.service import Service, run
from shared.runtime.settings import CommonSettings, load
from shared.runtime.tenants import load_tenants

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
    )
}

if __name__ == "__main__":
    run("sample", wire)
