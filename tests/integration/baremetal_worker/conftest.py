from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.baremetal_worker.world import Replica, World, make_world
from tests.support import devcloud


@pytest.fixture(scope="session")
def ironic() -> None:
    """Ironic runs, and needs no machine."""
    devcloud.up("ironic")


@pytest.fixture(scope="module")
def world(ironic: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation of this module's own."""
    with make_world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
async def replica(world: World) -> AsyncIterator[Replica]:
    """One worker process."""
    async with world.replica() as made:
        yield made
