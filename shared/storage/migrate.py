"""Migrations: plain SQL files, applied once each, in the order of their names.

yoyo keeps its books in the schema itself. Two things are added to it: an advisory lock, which ends
with its session, so that neither concurrent callers nor a killed one do harm; and a migration and
its entry in the books are one transaction, so that a kill between them can't separate them.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
import structlog
from psycopg import sql
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import Migration, default_migration_table

from shared.runtime.errors import ConfigurationError
from shared.storage.dsn import checked

SHARED_MIGRATIONS = Path(__file__).parent / "migrations"

_SCHEMA = re.compile(r"^[a-z_][a-z0-9_]{0,62}$")
_log = structlog.get_logger(__name__)


def migrate(dsn: str, schema: str, directory: Path, *, role: str | None = None) -> None:
    """Bring ``schema`` up to date: first the shared migrations, then those of ``directory``.

    ``role`` is to own the tables (default: the one in ``dsn``, which else must be allowed to act
    as it). The schema is made when it is missing. Concurrent callers wait for each other. Raises
    psycopg's errors.
    """
    if not _SCHEMA.match(schema):
        raise ConfigurationError(f"{schema!r} is no name for a schema")
    dsn = checked(dsn, "COLOBUS_ADMIN_DATABASE_DSN")
    if role is not None:
        dsn = _acting_as(dsn, role)
    with _only_caller(dsn, schema):
        backend = _Backend(parse_uri(_yoyo_url(dsn, schema)), default_migration_table)
        with backend:
            backend.init_database()
            backend.break_lock()  # we hold the real one: this is left of a killed caller
            for source in (SHARED_MIGRATIONS, directory):
                pending = backend.to_apply(read_migrations(glob.escape(str(source))))
                _log.info("migrating", schema=schema, pending=[m.id for m in pending])
                backend.apply_migrations(pending)


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc] # yoyo has no types
    def apply_one(self, migration: Migration, force: bool = False, mark: bool = True) -> None:
        with self.transaction():
            migration.process_steps(self, "apply", force=force)
            if mark:
                self.mark_one(migration, log=False)


@contextmanager
def _only_caller(dsn: str, schema: str) -> Iterator[None]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"colobus {schema}"]
        )
        known = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        yield


def _acting_as(dsn: str, role: str) -> str:
    """Every session is this role's from its beginning; the name needs no quoting."""
    if not _SCHEMA.match(role):
        raise ConfigurationError(f"{role!r} is no name for a role")
    parts = urlsplit(dsn)
    query = [*parse_qsl(parts.query), ("options", f"-c role={role}")]
    # A space is %20 to PostgreSQL, where a plus is a plus.
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


def _yoyo_url(dsn: str, schema: str) -> str:
    parts = urlsplit(dsn)
    query = urlencode([*parse_qsl(parts.query), ("schema", schema)], quote_via=quote)
    return urlunsplit(parts._replace(scheme="postgresql+psycopg", query=query))
