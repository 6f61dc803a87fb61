"""A scripted front door and a client of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from typer.testing import CliRunner, Result

from colobus import Client
from colobus.cli.app import app
from tests.integration.client.scripted import Scripted, serving

Command = Callable[..., Awaitable[Result]]


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


@pytest.fixture
def run(door: Scripted) -> Command:
    """Run ``colobus`` with these arguments against the scripted front door."""

    async def invoke(*arguments: str, retry_for: str = "0.2") -> Result:
        environ = {"COLOBUS_URL": door.url, "COLOBUS_TOKEN": "t0k3n", "COLUMNS": "200"}
        options = ["--retry-for", retry_for, *arguments]
        return await asyncio.to_thread(CliRunner().invoke, app, options, env=environ)

    return invoke
