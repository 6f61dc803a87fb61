"""Roles, schemas and migrations: each service works in its schema and sees nothing else.

A schema has two roles: its owner, as whom the migrations run and nobody logs in, and the service,
which reads and writes rows and changes no table (docs/decisions/0022).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
import structlog
from psycopg import sql

from services.admin.access import ACCESS, database_role, schema_owner
from services.admin.credentials import Credentials
from services.admin.settings import AdminSettings
from shared.runtime.errors import BackendUnavailable, ConfigurationError
from shared.storage.dsn import checked
from shared.storage.migrate import migrate

_SERVICES = Path(__file__).resolve().parents[1]
#: Present in every cluster; from there others are made.
_MAINTENANCE_DATABASE = "postgres"

_log = structlog.get_logger(__name__)


def install_database(settings: AdminSettings, credentials: Credentials) -> None:
    """Make database, roles and schemas, and bring the schemas up to date. Idempotent."""
    with _outages():
        _create_database(settings.admin_database_dsn)
        for service in owners():
            password = credentials.database_password(service, make=True)
            _create_roles(settings, service, password)
        for service in owners():
            owner = schema_owner(service, settings.role_suffix)
            folder = _SERVICES / service / "migrations"
            migrate(settings.admin_database_dsn, service, folder, role=owner)
            with psycopg.connect(_own(settings.admin_database_dsn)) as connection:
                _let_use_tables(connection, _names(settings, service))


def database_faults(settings: AdminSettings, credentials: Credentials) -> list[str]:
    """Log in as each role; one line for each that can't, or is other than it should be."""
    faults = []
    for service in owners():
        role = database_role(service, settings.role_suffix)
        try:
            with psycopg.connect(service_dsn(settings, credentials, service)) as connection:
                row = connection.execute(_WHO_AM_I).fetchone()
        except psycopg.Error as error:
            faults.append(f"role {role}: {' '.join(str(error).split())}")
            continue
        if row != (service, role, False):
            faults.append(f"role {role}: schema, user and whether it may change tables are {row}")
    return faults


def owners() -> Iterator[str]:
    """The services with a schema."""
    return (service for service, access in ACCESS.items() if access.schema)


def service_dsn(settings: AdminSettings, credentials: Credentials, service: str) -> str:
    """The DSN of the service's role; its search_path is its schema."""
    parts = urlsplit(_own(settings.admin_database_dsn))
    role = database_role(service, settings.role_suffix)
    password = quote(credentials.database_password(service), safe="")
    netloc = f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=netloc))


def _own(dsn: str) -> str:
    return checked(dsn, "COLOBUS_ADMIN_DATABASE_DSN")


def database_name(dsn: str) -> str:
    """The database in the DSN's path."""
    name = unquote(urlsplit(dsn).path[1:])
    if not name:
        raise ConfigurationError("COLOBUS_ADMIN_DATABASE_DSN names no database in its path")
    return name


def _create_database(dsn: str) -> None:
    maintenance = urlunsplit(urlsplit(dsn)._replace(path=f"/{_MAINTENANCE_DATABASE}"))
    name = database_name(dsn)
    with psycopg.connect(_own(maintenance), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            _log.info("database made", database=name)


def _names(settings: AdminSettings, service: str) -> dict[str, sql.Composable]:
    return {
        "role": sql.Identifier(database_role(service, settings.role_suffix)),
        "owner": sql.Identifier(schema_owner(service, settings.role_suffix)),
        "schema": sql.Identifier(service),
        "database": sql.Identifier(database_name(settings.admin_database_dsn)),
    }


def _create_roles(settings: AdminSettings, service: str, password: str) -> None:
    """Make roles and schema in one transaction, one caller at a time."""
    role = database_role(service, settings.role_suffix)
    names = _names(settings, service)
    with psycopg.connect(_own(settings.admin_database_dsn)) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('colobus admin', 0))")
        for name in (role, schema_owner(service, settings.role_suffix)):
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
            if known.fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        # Sent as a SCRAM verifier: statements may be logged by the server.
        verifier = connection.pgconn.encrypt_password(
            password.encode(), role.encode(), b"scram-sha-256"
        ).decode()
        for statement in _STATEMENTS:
            filled = sql.SQL(statement).format(**names, verifier=sql.Literal(verifier))
            connection.execute(filled)
        _let_use_tables(connection, names)


def _let_use_tables(
    connection: psycopg.Connection[tuple[Any, ...]], names: Mapping[str, sql.Composable]
) -> None:
    """Let the service use what tables there are, but not the books of the migrations."""
    for statement in _GRANTS:
        connection.execute(sql.SQL(statement).format(**names))
    books = sql.SQL(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND"
        " relnamespace = {schema}::regnamespace AND relname ~ '^_?yoyo_'"
    )
    schema = sql.Literal(names["schema"].as_string(connection))
    for (table,) in connection.execute(books.format(schema=schema)).fetchall():
        revoke = sql.SQL("REVOKE ALL ON {table} FROM {role}")
        connection.execute(revoke.format(table=sql.SQL(table), role=names["role"]))


_STATEMENTS = (
    "ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    " PASSWORD {verifier}",
    "ALTER ROLE {owner} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS",
    "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
    "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    "GRANT CONNECT ON DATABASE {database} TO {role}",
    "CREATE SCHEMA IF NOT EXISTS {schema}",
    "ALTER SCHEMA {schema} OWNER TO {owner}",
    # Before version 0.2 the service owned its tables.
    "REASSIGN OWNED BY {role} TO {owner}",
    "REVOKE ALL ON SCHEMA {schema} FROM {role}",
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    # What a migration makes may be used at once, even if we are killed right after it.
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}"
    " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}"
    " GRANT USAGE, SELECT ON SEQUENCES TO {role}",
    "ALTER ROLE {role} IN DATABASE {database} SET search_path = {schema}",
)
_GRANTS = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
)
_WHO_AM_I = (
    "SELECT current_schema(), current_user,"
    " has_schema_privilege(current_schema(), 'CREATE') OR EXISTS (SELECT FROM pg_class"
    " WHERE relnamespace = current_schema()::regnamespace"
    " AND pg_has_role(current_user, relowner, 'MEMBER'))"
)


@contextmanager
def _outages() -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise BackendUnavailable(f"PostgreSQL: {' '.join(str(error).split())}") from error
