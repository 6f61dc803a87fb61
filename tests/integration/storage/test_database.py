"""The database as a service sees it, its outages included."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from structlog.testing import capture_logs

from shared.contract.identifiers import new_ulid
from shared.contract.resources import Lease
from shared.runtime.errors import BackendUnavailable
from shared.storage import Database
from tests.integration.storage.observing import Observer, cut_all_others, until
from tests.support.conditions import eventually


async def test_a_transaction_is_kept_whole(database: Database, observer: Observer) -> None:
    """What happens inside is visible after the end, all of it."""
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE note (text text)")
        await tx.execute("INSERT INTO note VALUES ('one'), ('two')")
    assert await observer.fetchval("SELECT count(*) FROM note") == 2


async def test_an_exception_inside_rolls_back(database: Database, observer: Observer) -> None:
    """Nothing of a transaction stays when its body raises, and the exception passes."""
    with pytest.raises(LookupError):
        await _insert_and_raise(database)
    assert await observer.fetchval("SELECT to_regclass('note')") is None


async def _insert_and_raise(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE note (text text)")
        raise LookupError


async def test_jsonb_columns_carry_builtins_and_structs(database: Database) -> None:
    """Jsonb is read as Python's builtins and written from these and from structs."""
    lease = Lease(ttl=60, expires_at=datetime(2026, 3, 1, tzinfo=UTC))
    values = [{"a": [1, None, "ü"]}, [], "text", 7, lease]
    async with database.connection() as connection:
        shown = [await connection.fetchval("SELECT $1::jsonb", value) for value in values]
    assert shown[:-1] == values[:-1]
    assert shown[-1] == {"ttl": 60, "expires_at": "2026-03-01T00:00:00Z"}


async def test_tables_are_those_of_the_schema(database: Database) -> None:
    """The search path is the service's schema alone."""
    async with database.connection() as connection:
        assert await connection.fetchval("SHOW search_path") == '"scheduler"'


async def test_an_outage_is_temporary_and_passes(database: Database, observer: Observer) -> None:
    """Sessions that the server ends come out as BackendUnavailable; then all works as before."""
    with pytest.raises(BackendUnavailable) as raised:
        await _lose_the_connection_inside(database, observer)
    assert raised.value.problem().reason == "backend_unavailable"
    await database.ping()


async def _lose_the_connection_inside(database: Database, observer: Observer) -> None:
    async with database.transaction() as tx:
        await cut_all_others(observer)
        await tx.execute("SELECT 1")


async def test_idle_connections_that_were_lost_are_not_handed_out(
    database: Database, observer: Observer
) -> None:
    """After an outage between two uses, the next use just works once the loss is known."""
    await database.ping()
    assert await cut_all_others(observer) > 0
    async with asyncio.timeout(10):
        while not await _alive(database):
            pass
    await database.ping()


async def _alive(database: Database) -> bool:
    try:
        await database.ping()
    except BackendUnavailable:
        return False
    return True


@pytest.mark.parametrize(
    "statement",
    [
        "SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(5)",
        "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'serialization_failure'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'deadlock_detected'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'disk_full'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'read_only_sql_transaction'; END $$",
    ],
)
async def test_what_may_pass_is_temporary(database: Database, statement: str) -> None:
    """Timeouts, conflicts between transactions and a full disk are worth another try."""
    with pytest.raises(BackendUnavailable):
        await _execute(database, statement)


async def _execute(database: Database, statement: str, *arguments: object) -> None:
    async with database.transaction() as tx:
        await tx.execute(statement, *arguments)


@pytest.mark.parametrize(
    ("statement", "arguments", "error"),
    [
        ("SELECT * FROM nowhere", [], asyncpg.UndefinedTableError),
        ("SELECT $1::int", ["text"], asyncpg.DataError),
        ("INSERT INTO inbox VALUES ('t', 's', NULL)", [], asyncpg.NotNullViolationError),
    ],
)
async def test_our_own_mistakes_are_not_taken_for_outages(
    database: Database, statement: str, arguments: list[object], error: type[Exception]
) -> None:
    """A wrong statement comes out as what it is, so that nobody repeats it for ever."""
    with pytest.raises(error):
        await _execute(database, statement, *arguments)


async def test_nobody_there_is_an_outage(database_dsn: str) -> None:
    """A refused connection, an unknown database and a wrong password may all pass."""
    head, _, name = database_dsn.rpartition("/")
    for dsn in (f"{head}/unknown", "postgresql://x:y@127.0.0.1:1/x", _wrong_password(head) + name):
        with pytest.raises(BackendUnavailable):
            await Database.connect(dsn, schema="scheduler")


def _wrong_password(head: str) -> str:
    scheme, _, rest = head.partition("://")
    user, _, place = rest.partition("@")
    return f"{scheme}://{user.partition(':')[0]}:wrong@{place}/"


async def test_listen_hears_every_notification(database: Database, observer: Observer) -> None:
    """Payloads arrive in order while inside."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with database.listen("news", heard.put_nowait), asyncio.timeout(10):
        for payload in ("one", "two"):
            await observer.execute("SELECT pg_notify('news', $1)", payload)
        assert [await heard.get(), await heard.get()] == ["one", "two"]


async def test_listen_goes_on_after_an_outage(database: Database, observer: Observer) -> None:
    """A lost listener comes back, says so with an empty payload, and hears again."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with database.listen("news", heard.put_nowait), asyncio.timeout(20):
        await cut_all_others(observer)
        assert await heard.get() == ""
        await observer.execute("SELECT pg_notify('news', 'back')")
        assert await heard.get() == "back"


async def test_listen_goes_on_after_it_was_refused(migrated_dsn: str, observer: Observer) -> None:
    """After a failover a role may not be there yet, or locked out: the listener asks again."""
    role, heard = f"listener_{new_ulid()}", asyncio.Queue[str]()
    await observer.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    try:
        parts = urlsplit(migrated_dsn)
        place = f"{role}:x@{parts.hostname}:{parts.port}"
        database = await Database.connect(urlunsplit(parts._replace(netloc=place)), schema="x")
        with capture_logs() as lines:
            async with database.listen("news", heard.put_nowait), asyncio.timeout(20):
                await observer.execute(f"ALTER ROLE {role} NOLOGIN")
                await cut_all_others(observer)
                await eventually(partial(_said, lines, "listener reconnects"))
                await observer.execute(f"ALTER ROLE {role} LOGIN")
                assert await heard.get() == ""
                await observer.execute("SELECT pg_notify('news', 'back')")
                assert await heard.get() == "back"
        await database.close()
    finally:
        await cut_all_others(observer)
        await observer.execute(f"DROP ROLE {role}")


async def _said(lines: Sequence[Mapping[str, object]], event: str) -> bool:
    return event in [line["event"] for line in lines]


async def test_listening_ends_with_its_context(database: Database, observer: Observer) -> None:
    """Outside, nothing is heard and the connection is given up."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with database.listen("news", heard.put_nowait):
        pass
    await until(
        observer,
        "NOT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE 'LISTEN%')",
    )
    assert heard.empty()


async def test_closing_does_not_wait_for_ever(migrated_dsn: str, observer: Observer) -> None:
    """A connection still in use is cut, so that a service can stop."""
    database = await Database.connect(migrated_dsn, schema="scheduler")
    holding = asyncio.create_task(_execute(database, "SELECT pg_sleep(60)"))
    await until(
        observer,
        "EXISTS (SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'PgSleep')",
    )
    await database.close()
    with pytest.raises(BackendUnavailable):
        await holding
