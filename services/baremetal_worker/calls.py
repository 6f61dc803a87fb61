"""Blocking calls of python-ironicclient, run in a bounded pool of threads, within a deadline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from services.baremetal_worker.ironic_backend import (
    DEADLINE,
    VENDOR_ERRORS,
    Connection,
    fault_of,
)
from services.baremetal_worker.ironic_faults import translate
from shared.runtime.deadline import Deadline
from shared.runtime.errors import TemporaryError
from shared.worker.errors import NotFound

_log = structlog.stdlib.get_logger(__name__)
Call = Callable[[Any], Any]


@dataclass(frozen=True)
class Calls:
    """How one command calls one Ironic. ``pool`` bounds the calls to it.

    All raise what `translate` gives, or `DeadlineExpired` before anything is sent.
    """

    connection: Connection
    pool: ThreadPoolExecutor
    deadline: Deadline

    async def read(self, call: Call) -> Any:
        """Run ``call(client)``, which changes nothing."""
        return await self.run(call, changing=False)

    async def change(self, call: Call) -> Any:
        """Run ``call(client)``; where its answer is lost, it may yet have its effect."""
        return await self.run(call, changing=True)

    async def unless_gone(self, call: Call) -> Any:
        """Run ``call``; None when Ironic knows no such object."""
        try:
            return await self.read(call)
        except NotFound:
            return None

    async def remove(self, call: Call) -> None:
        """Run ``call``, which removes something; that it is gone is fine."""
        with suppress(NotFound):
            await self.change(call)

    async def run(self, call: Call, *, changing: bool) -> Any:
        """Run ``call(client)`` in a thread."""
        # In our context, so that log lines and requests made there say whose they are.
        work = partial(copy_context().run, self._blocking, call, changing)
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)

    def _blocking(self, call: Call, changing: bool) -> Any:
        self.deadline.check()  # here, since the thread may have come late
        DEADLINE.set(self.deadline)
        sent = False
        try:
            client = self.connection.ready()
            self.deadline.check()  # the token may have taken its time
            sent = True
            return call(client)
        except VENDOR_ERRORS as error:
            ours = translate(fault_of(error), changing=changing and sent)
            level = logging.WARNING if isinstance(ours, TemporaryError) else logging.DEBUG
            _log.log(level, "metal call failed", error=ours.detail[:500], kind=type(error).__name__)
            raise ours from error
