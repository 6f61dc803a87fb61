"""A scripted front door and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from colobus import Client
from tests.integration.client.scripted import Scripted, serving


@pytest.fixture
async def door() -> AsyncIterator[Scripted]:
    """A front door that answers as the test says."""
    async with serving(Scripted()) as scripted:
        yield scripted


@pytest.fixture
async def client(door: Scripted) -> AsyncIterator[Client]:
    """A client of that front door."""
    async with Client(door.url, token="t0k3n") as made:
        yield made
