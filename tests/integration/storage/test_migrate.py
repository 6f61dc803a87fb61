"""Migrations on the real database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import psycopg
import pytest

from shared.runtime.errors import ConfigurationError
from shared.storage.migrate import migrate

SHARED = {"inbox", "outbox"}


async def tables(dsn: str, schema: str) -> set[str]:
    """The tables of a schema, without yoyo's own."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = $1", schema
        )
    finally:
        await connection.close()
    return {row["table_name"] for row in rows if "yoyo" not in row["table_name"]}


async def run_migrations(dsn: str, schema: str, directory: Path) -> None:
    """`migrate`, which blocks, in a thread."""
    await asyncio.to_thread(migrate, dsn, schema, directory)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A service's migrations: one table, then another column."""
    (tmp_path / "0001-ledger.sql").write_text("CREATE TABLE ledger (id text PRIMARY KEY);")
    (tmp_path / "0002-phase.sql").write_text("ALTER TABLE ledger ADD COLUMN phase text;")
    return tmp_path


async def test_shared_tables_and_the_services_own_are_made(database_dsn: str, own: Path) -> None:
    """Both sets of files are applied, in the schema, and nothing anywhere else."""
    await run_migrations(database_dsn, "scheduler", own)
    assert await tables(database_dsn, "scheduler") == {*SHARED, "ledger"}
    assert await tables(database_dsn, "public") == set()


async def test_a_second_run_changes_nothing(database_dsn: str, own: Path) -> None:
    """What is applied is applied once; only new files are added."""
    await run_migrations(database_dsn, "scheduler", own)
    (own / "0003-more.sql").write_text("CREATE TABLE more (id text);")
    await run_migrations(database_dsn, "scheduler", own)
    assert await tables(database_dsn, "scheduler") == {*SHARED, "ledger", "more"}


async def test_schemas_do_not_know_each_other(database_dsn: str, own: Path) -> None:
    """The same files apply in each schema, with books of its own."""
    for schema in ("front_door", "scheduler"):
        await run_migrations(database_dsn, schema, own)
        assert await tables(database_dsn, schema) == {*SHARED, "ledger"}


async def test_callers_at_once_wait_for_each_other(database_dsn: str, own: Path) -> None:
    """Replicas that start together migrate once."""
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(run_migrations(database_dsn, "scheduler", own))
    assert await tables(database_dsn, "scheduler") == {*SHARED, "ledger"}


async def test_a_migration_that_fails_leaves_nothing_of_itself(
    database_dsn: str, own: Path
) -> None:
    """A file is one transaction; when it is mended, the next run applies it."""
    bad = own / "0003-bad.sql"
    bad.write_text("CREATE TABLE half (id text); SELECT * FROM nowhere;")
    with pytest.raises(psycopg.errors.UndefinedTable):
        await run_migrations(database_dsn, "scheduler", own)
    assert await tables(database_dsn, "scheduler") == {*SHARED, "ledger"}
    bad.write_text("CREATE TABLE half (id text);")
    await run_migrations(database_dsn, "scheduler", own)
    assert await tables(database_dsn, "scheduler") == {*SHARED, "ledger", "half"}


async def test_the_lock_of_a_killed_caller_holds_nobody_up(database_dsn: str, own: Path) -> None:
    """Yoyo's lock is a row that a kill leaves behind; it must not block the next run."""
    await run_migrations(database_dsn, "scheduler", own)
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("INSERT INTO scheduler.yoyo_lock VALUES (1, now(), 4711)")
    await connection.close()
    (own / "0003-more.sql").write_text("CREATE TABLE more (id text);")
    await run_migrations(database_dsn, "scheduler", own)
    assert "more" in await tables(database_dsn, "scheduler")


async def test_a_role_that_may_not_make_schemas_migrates_its_own(
    database_dsn: str, own: Path
) -> None:
    """The schema's owner needs no further rights, and owns what it makes."""
    role = f"role_{database_dsn.rpartition('_')[2]}"
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    try:
        await connection.execute(f"CREATE SCHEMA scheduler AUTHORIZATION {role}")
        place = database_dsn.partition("@")[2]
        await run_migrations(f"postgresql://{role}:p@{place}", "scheduler", own)
        owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'ledger'"
        assert await connection.fetchval(owner) == role
    finally:
        await connection.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
        await connection.close()


async def test_a_name_that_is_none_is_refused(database_dsn: str, own: Path) -> None:
    """Schema names go into SQL, so they are plain."""
    with pytest.raises(ConfigurationError):
        await run_migrations(database_dsn, "x; DROP", own)
