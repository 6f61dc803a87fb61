"""The real broker and database, a front door on them, and its neighbours, played by the test."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from services.admin.broker import install_broker
from services.admin.credentials import OPENERS
from services.admin.management import Management
from shared.bus import Bus
from shared.runtime.secrets import SealingKey
from shared.storage.migrate import migrate
from tests.integration.front_door.harness import (
    MIGRATIONS,
    Door,
    House,
    Neighbours,
    Tenant,
    tenants_document,
)
from tests.support.broker import virtual_host
from tests.support.database import fresh_database


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(
    basics: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """One corner of broker and database for most tests of this room; they differ in tenants."""
    async with _building(basics, tmp_path_factory.mktemp("front_door")) as built:
        yield built


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def empty_house(
    basics: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """Another corner, where no replica runs but the test's own."""
    async with _building(basics, tmp_path_factory.mktemp("front_door")) as built:
        yield built


@asynccontextmanager
async def _building(basics: dict[str, str], folder: Path) -> AsyncIterator[House]:
    document, tenants = tenants_document(300, "ceph", metals=("lab",))
    tenants_file = folder / "tenants.yaml"
    tenants_file.write_text(document)
    keys = {worker: SealingKey.generate() for worker in OPENERS}
    async with virtual_host(basics) as vhost, fresh_database(basics) as dsn:
        async with Management(vhost.management, vhost.user, vhost.password) as management:
            await install_broker(management, vhost.name, ())
        await asyncio.to_thread(migrate, dsn, "front_door", MIGRATIONS)
        environment = {
            "COLOBUS_INSTALLATION_ID": "test",
            "COLOBUS_AMQP_URLS": vhost.url,
            "COLOBUS_DATABASE_DSN": dsn,
            "COLOBUS_HTTP_PORT": "0",
            "COLOBUS_TENANTS_FILE": str(tenants_file),
            "COLOBUS_MASTER_KEY": base64.b64encode(os.urandom(32)).decode(),
            "COLOBUS_SEALING_PUBLIC_KEYS": ",".join(
                f"{worker}={key.public_key}" for worker, key in keys.items()
            ),
            "COLOBUS_HEARTBEAT_SECONDS": "1",
            "COLOBUS_REPUBLISH_SECONDS": "0.2",
            "COLOBUS_RATE_LIMIT": "100000",
            "COLOBUS_RATE_BURST": "100000",
        }
        bus = await Bus.connect([vhost.url], name="scheduler")
        neighbours = Neighbours(bus)
        await neighbours.start()
        yield House(environment, dsn, vhost.url, neighbours, keys, tenants)
        await bus.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def door(house: House) -> AsyncIterator[Door]:
    """A replica that most tests share."""
    async with house.replica() as replica:
        yield replica


@pytest.fixture
def neighbours(house: House) -> Neighbours:
    """Scheduler and workers, played by the test."""
    return house.neighbours


@pytest.fixture
def tenant(house: House) -> Tenant:
    """A tenant of this test's own."""
    return house.tenant()


@pytest.fixture
def other_tenant(house: House) -> Tenant:
    """Another one."""
    return house.tenant()
