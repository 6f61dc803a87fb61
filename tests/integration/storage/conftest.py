"""A migrated schema, a bus on a virtual host of the test's own, and an outbox between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from shared.bus import Bus
from shared.storage import Database
from shared.storage.migrate import migrate
from tests.integration.storage.broker import declare_status_queue
from tests.integration.storage.observing import Observer
from tests.support.broker import VirtualHost

SCHEMA = "scheduler"


@pytest.fixture
async def migrated_dsn(database_dsn: str, tmp_path: Path) -> str:
    """A database in which the shared tables are there."""
    await asyncio.to_thread(migrate, database_dsn, SCHEMA, tmp_path)
    return database_dsn


@pytest.fixture
async def database(migrated_dsn: str) -> AsyncIterator[Database]:
    """A service's database."""
    made = await Database.connect(migrated_dsn, schema=SCHEMA, pool_size=4)
    yield made
    await made.close()


@pytest.fixture
async def observer(migrated_dsn: str) -> AsyncIterator[Observer]:
    """A connection beside the service's, to look and to disturb."""
    connection = await asyncpg.connect(migrated_dsn, server_settings={"search_path": SCHEMA})
    yield connection
    await connection.close()


@pytest.fixture
async def bus(vhost: VirtualHost) -> AsyncIterator[Bus]:
    """A bus that knows the status exchange and one queue on it."""
    await declare_status_queue(vhost)
    made = await Bus.connect([vhost.url], name=SCHEMA)
    yield made
    await made.close()
