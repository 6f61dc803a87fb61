"""What a service consists of: readiness checks, background tasks, what to drain and to close.

A service that can't do its work any more must not look alive: a background task that ends, for
whatever reason, ends the process with exit code 1, and whoever started it starts it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import structlog

from shared.runtime.deadline import Deadline

ReadinessCheck = Callable[[], object | Awaitable[object]]
AsyncCallback = Callable[[], Awaitable[object]]

#: How long what was cancelled may take to end, in seconds.
_CANCELLATION_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Service:
    """What wiring hands its parts to; it closes them in reverse order of their arrival."""

    def __init__(self, name: str) -> None:
        self.name = name
        #: Set as soon as the process should end; new work is not taken any more.
        self.draining = asyncio.Event()
        #: Named checks; a check fails by returning False or raising.
        self.readiness: dict[str, ReadinessCheck] = {}
        #: Whether wiring has finished.
        self.wired = False
        #: Whether something went wrong, so that the exit code is 1.
        self.failed = False
        self._drainers: list[AsyncCallback] = []
        self._closers: list[AsyncCallback] = []

    def on_close(self, close: AsyncCallback) -> None:
        """Call ``close`` at the end, before the closers that are registered already."""
        self._closers.append(close)

    def on_drain(self, drain: AsyncCallback) -> None:
        """Call ``drain`` (stop taking work, finish what is under way) before anything closes."""
        self._drainers.append(drain)

    def add_readiness(self, name: str, check: ReadinessCheck) -> None:
        """Make ``/readyz`` depend on ``check``: a function or coroutine function."""
        self.readiness[name] = check

    def spawn(self, name: str, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Run ``work`` in the background; should it end before the service does, that is fatal.

        It is cancelled when it is its turn to close: before whatever was opened earlier.
        """
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self.on_close(lambda: _cancelled(task))
        return task

    def stop(self) -> None:
        """Begin to drain."""
        self.draining.set()

    def fail(self, event: str, error: BaseException | None = None, **context: object) -> None:
        """Log what is fatal, begin to drain, and exit with 1 in the end."""
        _log.critical(event, exc_info=error, **context)
        self.failed = True
        self.stop()

    def listening(self, addresses: Sequence[object]) -> None:
        """Note where an HTTP server listens."""
        _log.info("listening", addresses=[str(address) for address in addresses])

    async def drain(self, seconds: float) -> None:
        """Run all drain callbacks side by side, for at most ``seconds``."""
        self.stop()
        _log.info("draining", seconds=seconds)
        await self._bounded(self._drainers, seconds)

    async def close(self, seconds: float) -> None:
        """Run the closers one after the other, in reverse, for at most ``seconds`` together."""
        deadline = Deadline.after(seconds)
        while self._closers:
            # A closer always gets a moment, even when those before it took all the time.
            await self._bounded([self._closers.pop()], max(deadline.remaining(), 0.5))

    async def _bounded(self, callbacks: Sequence[AsyncCallback], seconds: float) -> None:
        tasks = [asyncio.ensure_future(_awaited(callback)) for callback in callbacks]
        if not tasks:
            return
        done, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
            _log.error("took too long to stop", seconds=seconds)
        if late:
            await asyncio.wait(late, timeout=_CANCELLATION_SECONDS)
        for error in [task.exception() for task in done if not task.cancelled()]:
            if error is not None:
                self.failed = True
                _log.error("failed to stop cleanly", exc_info=error)

    def _ended(self, task: asyncio.Task[object]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None or not self.draining.is_set():
            self.fail("background task ended", error, task=task.get_name())


async def _awaited(callback: AsyncCallback) -> None:
    await callback()


async def _cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    await asyncio.wait([task])
