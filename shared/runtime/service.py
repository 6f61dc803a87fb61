"""Running a service as a process: signals, wiring, draining, exit code.

SIGTERM or SIGINT begins a drain that ends within ``COLOBUS_DRAIN_SECONDS``; a second one ends the
process at once. Exit code 0 means stopped as asked; 1 means that something failed.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from shared.runtime import logs, metrics, tracing
from shared.runtime.errors import ColobusError
from shared.runtime.lifecycle import AsyncCallback, ReadinessCheck, Service
from shared.runtime.patience import patiently
from shared.runtime.settings import ProcessSettings, SettingsError, load

__all__ = ["AsyncCallback", "ReadinessCheck", "Service", "Wire", "patiently", "run"]

Wire = Callable[[Service], Awaitable[None]]

#: New objects between two looks for garbage in cycles. Python's own 700 are made by a few requests,
#: and nearly all of them go by their reference counts.
_GARBAGE_THRESHOLD = 20_000

#: After a failure there is nothing worth waiting long for, in seconds.
_DRAIN_AFTER_FAILURE = 5.0
#: The shares of the time to drain that work under way and the last traces get; closing has the
#: rest.
_SHARE_OF_WORK = 0.75
_SHARE_OF_TRACES = 0.1

_log = structlog.get_logger(__name__)


def run(name: str, wire: Wire) -> NoReturn:
    """Run the service that ``wire`` puts together, until it is told to stop or fails.

    Wiring first loads its settings and serves health (`shared.runtime.health.serve_health`),
    then connects.
    """
    process = _process_settings()
    logs.configure(name, process.log_level)
    metrics.set_build_info(name)
    tracing.configure(
        name,
        process.installation_id,
        endpoint=process.otlp_endpoint,
        ratio=process.trace_ratio,
    )
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        exit_code = runner.run(_live(Service(name), wire, process.drain_seconds))
    sys.exit(exit_code)


def _process_settings() -> ProcessSettings:
    try:
        return load(ProcessSettings)
    except SettingsError:
        return ProcessSettings()  # wiring loads these again, and tells all faults together


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _live(service: Service, wire: Wire, drain_seconds: float) -> int:
    _handle_signals(service)
    if await _wired(service, wire):
        _settle_memory()
        _log.info("ready")
        await service.draining.wait()
    seconds = min(drain_seconds, _DRAIN_AFTER_FAILURE) if service.failed else drain_seconds
    await service.drain(seconds * _SHARE_OF_WORK)
    await service.close(seconds * (1 - _SHARE_OF_WORK - _SHARE_OF_TRACES))
    tracing.shutdown(seconds * _SHARE_OF_TRACES)  # blocks, but nothing else is left to do
    _log.info("stopped", failed=service.failed)
    return 1 if service.failed else 0


async def _wired(service: Service, wire: Wire) -> bool:
    """Run ``wire``; return whether it finished before something asked us to stop."""
    wiring = asyncio.ensure_future(wire(service))
    stopping = asyncio.create_task(service.draining.wait())
    await asyncio.wait([wiring, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not wiring.done():
        wiring.cancel()
        await asyncio.wait([wiring])
    error = None if wiring.cancelled() else wiring.exception()
    if error is not None:
        _report(service, error)
    service.wired = not wiring.cancelled() and error is None
    return service.wired


def _settle_memory() -> None:
    """Tell the garbage collector that what wiring made is here to stay, and to look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)


def _report(service: Service, error: BaseException) -> None:
    """Say why wiring failed: in one line where the cause lies outside of this program."""
    if isinstance(error, SettingsError):
        service.fail("cannot start: wrong settings", faults=error.faults)
    elif isinstance(error, ColobusError | OSError):
        service.fail("cannot start", cause=f"{type(error).__name__}: {error}")
    else:
        service.fail("cannot start", error)


def _handle_signals(service: Service) -> None:
    def stop(number: signal.Signals) -> None:
        if service.draining.is_set():
            _log.critical("stopped at once", signal=number.name)
            os._exit(1)
        _log.info("asked to stop", signal=number.name)
        service.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
