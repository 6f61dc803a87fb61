"""The scheduler as a process, on the real broker and database; the test plays its neighbours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.scheduler.desk import ledger_database
from tests.integration.scheduler.neighbours import Neighbours
from tests.support.installation import NO_CLOUD, Installation, installation


@pytest.fixture(scope="module")
def scheduled(
    basics: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation of which only the scheduler runs."""
    folder: Path = tmp_path_factory.mktemp("scheduler")
    quotas = {"bigtop": {"vms": 1000}, "openlab": {"vms": 2}}
    with installation({**NO_CLOUD, **basics}, folder, quotas) as made:
        made.start("scheduler")
        yield made


@pytest.fixture(scope="module")
def ledger_dsn(basics: dict[str, str]) -> Iterator[str]:
    """A database with the scheduler's tables, for a module's tests that run its rooms."""
    with ledger_database(basics) as dsn:
        yield dsn


@pytest.fixture
async def neighbours(scheduled: Installation) -> AsyncIterator[Neighbours]:
    """The front door and the worker, played by the test."""
    async with Neighbours.of(scheduled) as made:
        yield made
