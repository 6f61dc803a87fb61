"""Roles, schemas and migrations: each service owns its schema and sees nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
import structlog
from psycopg import sql

from services.admin.access import ACCESS, database_role
from services.admin.credentials import Credentials
from services.admin.settings import AdminSettings
from shared.runtime.errors import BackendUnavailable, ConfigurationError
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
            _create_owner(settings, service, password)
        for service in owners():
            dsn = service_dsn(settings, credentials, service)
            migrate(dsn, service, _SERVICES / service / "migrations")


def database_faults(settings: AdminSettings, credentials: Credentials) -> list[str]:
    """Log in as each role; one line for each that can't, or is other than it should be."""
    faults = []
    for service in owners():
        role = database_role(service, settings.role_suffix)
        try:
            with psycopg.connect(service_dsn(settings, credentials, service)) as connection:
                row = connection.execute("SELECT current_schema(), current_user").fetchone()
        except psycopg.Error as error:
            faults.append(f"role {role}: {' '.join(str(error).split())}")
            continue
        if row != (service, role):
            faults.append(f"role {role}: schema and user are {row}")
    return faults


def owners() -> Iterator[str]:
    """The services with a schema."""
    return (service for service, access in ACCESS.items() if access.schema)


def service_dsn(settings: AdminSettings, credentials: Credentials, service: str) -> str:
    """The DSN of the service's role; its search_path is its schema."""
    parts = urlsplit(settings.admin_database_dsn)
    role = database_role(service, settings.role_suffix)
    password = quote(credentials.database_password(service), safe="")
    netloc = f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=netloc))


def database_name(dsn: str) -> str:
    """The database in the DSN's path."""
    name = unquote(urlsplit(dsn).path[1:])
    if not name:
        raise ConfigurationError("COLOBUS_ADMIN_DATABASE_DSN names no database in its path")
    return name


def _create_database(dsn: str) -> None:
    maintenance = urlunsplit(urlsplit(dsn)._replace(path=f"/{_MAINTENANCE_DATABASE}"))
    name = database_name(dsn)
    with psycopg.connect(maintenance, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            _log.info("database made", database=name)


def _create_owner(settings: AdminSettings, service: str, password: str) -> None:
    """Make role and schema in one transaction, one caller at a time."""
    role = database_role(service, settings.role_suffix)
    names = {
        "role": sql.Identifier(role),
        "schema": sql.Identifier(service),
        "database": sql.Identifier(database_name(settings.admin_database_dsn)),
    }
    with psycopg.connect(settings.admin_database_dsn) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('colobus admin', 0))")
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {role}").format(**names))
        # Sent as a SCRAM verifier: statements may be logged by the server.
        verifier = connection.pgconn.encrypt_password(
            password.encode(), role.encode(), b"scram-sha-256"
        ).decode()
        names["verifier"] = sql.Literal(verifier)  # type: ignore[assignment]
        for statement in _STATEMENTS:
            connection.execute(sql.SQL(statement).format(**names))


_STATEMENTS = (
    "ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    " PASSWORD {verifier}",
    "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
    "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    "GRANT CONNECT ON DATABASE {database} TO {role}",
    "CREATE SCHEMA IF NOT EXISTS {schema}",
    "ALTER SCHEMA {schema} OWNER TO {role}",
    "ALTER ROLE {role} IN DATABASE {database} SET search_path = {schema}",
)


@contextmanager
def _outages() -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise BackendUnavailable(f"PostgreSQL: {' '.join(str(error).split())}") from error
