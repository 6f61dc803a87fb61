"""The real broker and database around a webhook worker, and a subscriber's endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.admin.broker import install_broker
from services.admin.management import Management
from shared.bus import Bus
from shared.contract.identifiers import new_ulid
from shared.runtime.secrets import SealingKey
from shared.storage.migrate import migrate
from tests.integration.webhook_worker.harness import MIGRATIONS, QUICK, Surroundings
from tests.support.broker import VirtualHost, virtual_host
from tests.support.database import fresh_database
from tests.support.webhooks import Receiver, receiving


@pytest_asyncio.fixture(scope="session", loop_scope="session", name="broker")
async def declared_broker(basics: dict[str, str]) -> AsyncIterator[VirtualHost]:
    """A virtual host with the whole topology, for all tests of this room."""
    async with virtual_host(basics) as made:
        async with Management(made.management, made.user, made.password) as management:
            await install_broker(management, made.name, ())
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session", name="migrated_dsn")
async def migrated_database(basics: dict[str, str]) -> AsyncIterator[str]:
    """A database with the worker's tables, for all tests of this room; `around` empties them."""
    async with fresh_database(basics) as dsn:
        await asyncio.to_thread(migrate, dsn, "webhook_worker", MIGRATIONS)
        yield dsn


@pytest.fixture
async def around(broker: VirtualHost, migrated_dsn: str) -> AsyncIterator[Surroundings]:
    """Broker, database and a tenant of this test's own."""
    environment = {
        **QUICK,
        "COLOBUS_AMQP_URLS": broker.url,
        "COLOBUS_DATABASE_DSN": migrated_dsn,
    }
    bus = await Bus.connect([broker.url], name="scheduler")
    tenant = f"t-{new_ulid()}"
    surroundings = Surroundings(bus, migrated_dsn, environment, tenant, SealingKey.generate())
    await surroundings.rows("TRUNCATE inbox, outbox, subscriptions, signing_keys CASCADE")
    yield surroundings
    await bus.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A subscriber's endpoint."""
    async with receiving() as made:
        yield made
