"""A pool of connections on one role and schema; outages come out as `BackendUnavailable`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import asyncpg
import msgspec
import structlog

from shared.runtime.errors import BackendUnavailable, ConfigurationError
from shared.storage.dsn import check_files, checked
from shared.storage.listener import Listener
from shared.storage.outages import is_loss, outages_are_temporary, unavailable

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    _Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.pool.PoolConnectionProxy

_log = structlog.get_logger(__name__)
_SETTING = "COLOBUS_DATABASE_DSN"
#: Bounds in seconds: making a connection, waiting for a free one, one statement (the server ends
#: it at the first bound, the client gives up at the second), an idle transaction.
CONNECT_SECONDS = 5.0
ACQUIRE_SECONDS = 10.0
STATEMENT_SECONDS = 15.0
_COMMAND_SECONDS = 20.0
_IDLE_TRANSACTION_SECONDS = 60.0
_CLOSE_SECONDS = 3.0
#: The first byte of binary jsonb is the version of its form.
_JSONB_VERSION = b"\x01"


class Database:
    """The database as one service sees it. Made by `connect`.

    Sessions are shared: state may live in a transaction (``SET LOCAL``, advisory locks of the
    transaction), never in the session. Columns of type jsonb are read and written as the builtins
    and structs that msgspec knows.
    """

    def __init__(self, pool: _Pool, options: dict[str, Any]) -> None:
        self._pool = pool
        self._options = options

    @classmethod
    async def connect(cls, dsn: str, *, schema: str, pool_size: int = 10) -> Self:
        """Open the pool; raises `BackendUnavailable` when the database can't be reached.

        A role or database that isn't there yet counts as that, too: it may be being installed.
        `ConfigurationError` for a DSN that can't be used, or would use TLS unverified (`dsn`).
        """
        options: dict[str, Any] = {
            "dsn": checked(dsn, _SETTING),
            "timeout": CONNECT_SECONDS,
            "command_timeout": _COMMAND_SECONDS,
            "server_settings": _server_settings(schema),
        }
        check_files(dsn, _SETTING)
        try:
            pool = await _open(pool_size, options)
        except BackendUnavailable as error:
            # Its own words are the operator's: refused, by a wrong certificate, by no TLS, …
            _log.warning("database not available", cause=str(error.__cause__))
            raise
        return cls(pool, options)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection; each statement is a transaction of its own."""
        try:
            with outages_are_temporary():
                async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                    yield connection
        except BackendUnavailable as error:
            if is_loss(error.__cause__):
                # Others were probably lost with it: none is used again without a new session.
                await self._pool.expire_connections()
            raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Commit at the end, roll back on any exception.

        When the connection is lost in the commit itself, the outcome is unknown: this raises
        `BackendUnavailable`, and the repeated work must find out.
        """
        async with self.connection() as connection, connection.transaction():
            yield connection

    def listen(
        self, channel: str, callback: Callable[[str], None]
    ) -> AbstractAsyncContextManager[None]:
        """Call ``callback`` with the payload of every NOTIFY on ``channel`` while inside.

        On a connection of its own, which is re-made after an outage; as notifications are lost
        meanwhile, ``callback`` is then called with "". Channels are those of the whole database,
        not of the schema.
        """
        return Listener(self._options, channel, callback).listening()

    async def ping(self) -> None:
        """Ask the database for a sign of life; raises `BackendUnavailable`."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1")

    async def close(self) -> None:
        """Close all connections; those still in use after some seconds are cut."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


async def _open(pool_size: int, options: dict[str, Any]) -> _Pool:
    try:
        with outages_are_temporary():
            return await asyncpg.create_pool(
                min_size=min(2, pool_size),
                max_size=pool_size,
                init=_prepare,
                reset=_refuse_leftovers,
                **options,
            )
    except (
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
    ) as error:
        raise unavailable(error) from error
    except ValueError as error:
        raise ConfigurationError(f"{_SETTING}: {error}") from error


def _server_settings(schema: str) -> dict[str, str]:
    return {
        "search_path": '"' + schema.replace('"', '""') + '"',
        "application_name": f"colobus {schema}",
        "statement_timeout": str(int(STATEMENT_SECONDS * 1000)),
        "idle_in_transaction_session_timeout": str(int(_IDLE_TRANSACTION_SECONDS * 1000)),
        "jit": "off",  # statements are small; compiling them costs more than running them
    }


async def _prepare(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: _JSONB_VERSION + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[len(_JSONB_VERSION) :]),
        format="binary",
    )


async def _refuse_leftovers(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """In place of asyncpg's own reset, which costs a round trip for state that we never leave."""
    if connection.is_in_transaction():
        raise asyncpg.InterfaceError("a connection was given back inside a transaction")
