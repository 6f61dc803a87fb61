"""Waiting, within bounds, for what isn't there yet when a service starts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from shared.runtime.deadline import Deadline
from shared.runtime.errors import TemporaryError

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 3.0


async def patiently(connect: Callable[[], Awaitable[_T]], seconds: float, *, name: str) -> _T:
    """Call ``connect`` until it succeeds, for at most ``seconds``; then its last error is raised.

    Only what may pass is waited for: `TemporaryError`, `OSError` and `TimeoutError`.
    """
    deadline = Deadline.after(seconds)
    pause = _FIRST_PAUSE
    while True:
        try:
            return await connect()
        except (TemporaryError, OSError) as error:  # TimeoutError is an OSError
            if deadline.remaining() <= pause:
                raise
            _log.warning("waiting", target=name, error=str(error) or type(error).__name__)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
