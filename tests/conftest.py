"""Fixtures that many tests use: the real broker and database, a fresh corner of each."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
import structlog
from hypothesis import settings

from tests.support import devcloud
from tests.support.broker import VirtualHost, virtual_host
from tests.support.database import fresh_database

# What services wired into the tests' own process log below a warning would only cost time.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
# `make test`, and so CI, tries the same examples each time: only a change can turn it red. Others
# are looked for by `make test-fast`, fewer of them, and by --hypothesis-profile=thorough.
settings.register_profile("quick", max_examples=25, deadline=None)
settings.register_profile("thorough", max_examples=100, deadline=None)
settings.register_profile("same", settings.get_profile("thorough"), derandomize=True)
settings.load_profile("same")


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
