from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.end_to_end.vm_worker.world import Replica, World, make_world


@pytest.fixture(scope="session")
def world(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two tenants of these tests' own."""
    with make_world(environment, tmp_path_factory.mktemp("vm-worker")) as made:
        yield made


@pytest.fixture
async def replica(world: World) -> AsyncIterator[Replica]:
    """One worker process."""
    async with world.replica() as made:
        yield made


@pytest.fixture
async def other_replica(world: World) -> AsyncIterator[Replica]:
    """A second worker process; also what the first one is after a restart."""
    async with world.replica() as made:
        yield made
