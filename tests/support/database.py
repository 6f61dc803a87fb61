"""A database of the test's own on the real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from shared.contract.identifiers import new_ulid


@asynccontextmanager
async def fresh_database(environment: dict[str, str]) -> AsyncIterator[str]:
    """Create a database and yield the superuser's DSN of it; drop it afterwards."""
    dsn = environment["DEVCLOUD_POSTGRES_DSN"]
    name = f"test_{new_ulid()}"
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
        finally:
            await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()
