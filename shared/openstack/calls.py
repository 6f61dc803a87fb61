"""Blocking calls of openstacksdk, run in a bounded pool of threads, within a deadline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import structlog

from shared.contract.problems import Reason
from shared.openstack.connections import VENDOR_ERRORS, ProjectConnection, fault_of
from shared.openstack.faults import translate
from shared.runtime.deadline import Deadline
from shared.runtime.errors import TemporaryError
from shared.worker.errors import NotFound

T = TypeVar("T")
_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Calls:
    """How one command calls one project. ``pool`` bounds the calls to the cloud."""

    connection: ProjectConnection
    pool: ThreadPoolExecutor
    deadline: Deadline
    project_id: str

    async def __call__(
        self,
        call: Callable[[Any], T],
        *,
        missing: Reason = Reason.BACKEND_REFUSED,
        masked: Callable[[str], str] | None = None,
    ) -> T:
        """Run ``call(connection)`` in a thread.

        ``missing`` is the reason when the cloud answers 404. The cloud's words may quote a secret
        that it was told: then they are told through ``masked``, and not logged. Raises what
        `translate` gives, or `DeadlineExpired` before anything is sent.
        """
        # In our context, so that log lines and requests made there say whose they are.
        work = partial(copy_context().run, self._blocking, call, missing, masked)
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)

    async def unless_gone(self, call: Callable[[Any], T]) -> T | None:
        """Run ``call``; None when the cloud knows no such object."""
        try:
            return await self(call)
        except NotFound:
            return None

    def _blocking(
        self,
        call: Callable[[Any], T],
        missing: Reason,
        masked: Callable[[str], str] | None,
    ) -> T:
        self.deadline.check()  # here, since the thread may have come late
        try:
            connection = self.connection.ready()
            self.deadline.check()  # the token may have taken its time
            return call(connection)
        except VENDOR_ERRORS as error:
            fault = fault_of(error)
            if masked is not None:  # all of the words, before they are cut
                fault = replace(fault, detail=masked(fault.detail))
            ours = translate(fault, missing)
            level = logging.WARNING if isinstance(ours, TemporaryError) else logging.DEBUG
            text = "not told" if masked else str(error)[:500]
            _log.log(level, "cloud call failed", error=text, kind=type(error).__name__)
            if masked is None:
                raise ours from error
            # Not from the vendor's error, whose words may be logged with ours.
            raise ours from None
