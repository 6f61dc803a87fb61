"""LISTEN on a connection of its own, which is re-made after an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import structlog

from shared.runtime.errors import BackendUnavailable
from shared.storage.outages import outages_are_temporary

#: Between attempts to reconnect, and between signs of life asked of a silent connection: seconds.
_PAUSE = 1.0
_SIGN_OF_LIFE = 30.0

_log = structlog.get_logger(__name__)


class Listener:
    """One channel and its callback."""

    def __init__(
        self, options: dict[str, Any], channel: str, callback: Callable[[str], None]
    ) -> None:
        self._options = options
        self._channel = channel
        self._callback = callback
        self._lost = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while inside; raises `BackendUnavailable` when it can't begin."""
        connection = await self._connect()
        keeping = asyncio.create_task(self._keep(connection), name=f"listen {self._channel}")
        keeping.add_done_callback(_report)
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        with outages_are_temporary():
            connection: asyncpg.Connection[asyncpg.Record]
            connection = await asyncpg.connect(**self._options)
            self._lost.clear()
            connection.add_termination_listener(lambda _: self._lost.set())
            await connection.add_listener(self._channel, self._heard)
            return connection

    async def _keep(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        try:
            while True:
                await self._until_lost(connection)
                connection.terminate()
                connection = await self._reconnect()
                self._callback("")
        finally:
            connection.terminate()

    async def _until_lost(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """Wait for the end of the connection; a silent one is asked from time to time."""
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(_SIGN_OF_LIFE):
                    await self._lost.wait()
            except TimeoutError:
                try:
                    with outages_are_temporary():
                        await connection.execute("SELECT 1")
                except BackendUnavailable:
                    return

    async def _reconnect(self) -> asyncpg.Connection[asyncpg.Record]:
        """Try until it works: after a failover even a refusal (no such role yet) passes."""
        while True:
            try:
                return await self._connect()
            except (BackendUnavailable, asyncpg.PostgresError) as error:
                _log.warning("listener reconnects", channel=self._channel, error=str(error))
            await asyncio.sleep(_PAUSE)

    def _heard(self, _: object, __: int, ___: str, payload: object) -> None:
        self._callback(str(payload))


def _report(keeping: asyncio.Task[None]) -> None:
    if not keeping.cancelled() and (error := keeping.exception()) is not None:
        _log.critical("listener died", exc_info=error, task=keeping.get_name())
