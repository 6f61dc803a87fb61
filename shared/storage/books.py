"""The outbox's books: rows whose messages are out go, rows that could not be published wait.

Both are written together for many rows by one task, so that a burst costs few statements.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

import structlog

from shared.runtime.errors import BackendUnavailable
from shared.storage import outbox_rows
from shared.storage.database import Database
from shared.storage.outbox_rows import Row

#: How long a row waits after a failure, in seconds: at first, and at most when it is permanent.
_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
#: Published rows remembered while the database is out; more than these are published again.
_MAX_REMEMBERED = 100_000
_CLOSE_SECONDS = 2.0

_log = structlog.get_logger(__name__)


class Books:
    """What is still to be written down."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._published: set[int] = set()
        self._left: dict[int, tuple[Row, float]] = {}
        self._wanted = asyncio.Event()

    def published(self, position: int) -> None:
        """Have the row deleted."""
        if len(self._published) < _MAX_REMEMBERED:
            self._published.add(position)
        self._wanted.set()

    def left(self, row: Row, *, permanently: bool) -> None:
        """Have the row tried again: soon, or ever later when the broker will not take it."""
        pause = min(2.0**row.tries, _LONGEST_PAUSE) if permanently else _PAUSE
        self._left[row.position] = (row, pause)
        self._wanted.set()

    def knows(self, position: int) -> bool:
        """Tell whether the row's message is out and only the row is still there."""
        return position in self._published

    async def keep(self) -> NoReturn:
        """Write down what comes in; an outage of the database is waited for."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._write()
            except BackendUnavailable as error:
                _log.warning("outbox rows not written", error=error.detail)
                self._wanted.set()
                await asyncio.sleep(_PAUSE)

    async def close(self) -> None:
        """Write down what is left, if the database is quick; else messages are repeated later."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._write()
        except (BackendUnavailable, TimeoutError) as error:
            _log.warning("outbox rows not written", error=str(error), count=len(self._published))

    async def _write(self) -> None:
        published, left = list(self._published), list(self._left.values())
        if not published and not left:
            return
        async with self._database.connection() as connection:
            if published:
                await outbox_rows.delete(connection, published)
                self._published.difference_update(published)
            if left:
                await outbox_rows.leave(connection, left)
                for row, _ in left:
                    self._left.pop(row.position, None)
