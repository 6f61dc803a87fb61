from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from devcloud.api import Supervisor, open_devcloud
from tests.gateway.world import GATEWAY, World, make_world
from tests.integration.iscsi_worker.world import Replica
from tests.support import devcloud, initiator


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--record-exchanges`: keep what the gateway says, for the fast tests to play back."""
    parser.addoption("--record-exchanges", action="store_true", default=False)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of a running Ceph with the real ceph-iscsi before it."""
    return devcloud.up(GATEWAY)


@pytest.fixture(scope="session")
def cloud(environment: dict[str, str]) -> Supervisor:
    """The cloud that the gateway is a part of."""
    del environment
    found = open_devcloud()
    initiator.install(found.site)
    return found


@pytest.fixture(scope="module")
def world(
    cloud: Supervisor, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A store of this module's own."""
    with make_world(cloud, environment, tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
async def replica(world: World) -> AsyncIterator[Replica]:
    """One worker process."""
    async with world.replica() as made:
        yield made
