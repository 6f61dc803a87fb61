from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from devcloud.api import open_devcloud
from devcloud.packages import DebianPackages
from tests.integration.iscsi_worker.world import Replica, World, make_world
from tests.support import devcloud, initiator

TGT = DebianPackages(("tgt", "tgt-rbd"))


@pytest.fixture(scope="session")
def ceph() -> dict[str, str]:
    """The environment of a running Ceph; the programs that the tests use are there too."""
    environment = devcloud.up("ceph")
    site = open_devcloud().site
    initiator.install(site)
    if not TGT.installed(site):
        TGT.install(site)
    return environment


@pytest.fixture(scope="module")
def world(ceph: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A store of this module's own."""
    with make_world(ceph, tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
async def replica(world: World) -> AsyncIterator[Replica]:
    """One worker process."""
    async with world.replica() as made:
        yield made
