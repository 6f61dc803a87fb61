"""Fixtures that many tests use: the real broker and database, a fresh corner of each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support import devcloud
from tests.support.broker import VirtualHost, virtual_host
from tests.support.database import fresh_database


@pytest.fixture(scope="session")
def basics() -> dict[str, str]:
    """The environment of a running broker and database."""
    return devcloud.up("rabbitmq", "postgresql")


@pytest.fixture
async def vhost(basics: dict[str, str]) -> AsyncIterator[VirtualHost]:
    """A virtual host of this test's own, empty."""
    async with virtual_host(basics) as made:
        yield made


@pytest.fixture
async def database_dsn(basics: dict[str, str]) -> AsyncIterator[str]:
    """A database of this test's own, empty; the superuser's DSN."""
    async with fresh_database(basics) as dsn:
        yield dsn
