"""A Colobus with a metal, and the eyes and hands of those who own the parts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from colobus.client import Client
from devcloud.images import TinyImage
from tests.integration.iscsi_worker.world import World
from tests.support import devcloud
from tests.support.bare_metal import Metal
from tests.support.cloud import Cloud
from tests.support.installation import Installation
from tests.support.metal_house import metal_house, metal_store, offer

QUOTAS = {"bigtop": {"machines": 4, "floating_ips": 2, "volume_gib": 60}}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The machines' network is a network namespace."""
    if os.geteuid() != 0:
        for item in items:
            if "end_to_end/machines" in item.nodeid:
                item.add_marker(pytest.mark.skip(reason="only root can make network namespaces"))


@pytest.fixture(scope="package")
def metal(environment: dict[str, str]) -> Metal:
    """The operator's hands on Ironic and the machines."""
    devcloud.up("ceph", "bare-metal")
    return Metal()


@pytest.fixture(scope="package")
def world(metal: Metal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The pool as an administrator sees it, and a tgtd of these tests' own in the machines' net."""
    with metal_store(metal, tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest.fixture(scope="package")
def tiny(metal: Metal, world: World) -> str:
    """A golden image with the smallest Linux there is."""
    return offer(TinyImage(metal.site), world)


@pytest.fixture(scope="package")
def phoning(metal: Metal, world: World) -> str:
    """The same, imported as one whose systems phone home."""
    return offer(TinyImage(metal.site), world, phones_home=True)


@pytest.fixture(scope="package")
def house(
    environment: dict[str, str], world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """All services with a metal; the worker's marks are those of `world`."""
    folder = tmp_path_factory.mktemp("machines")
    with metal_house(environment, world, folder, QUOTAS) as made:
        yield made


@pytest.fixture(scope="package")
def network(environment: dict[str, str], house: Installation) -> Iterator[Cloud]:
    """The tenants' networks as the administrator sees them."""
    seen = Cloud(environment, house.name)
    yield seen
    seen.clear()


@pytest.fixture
async def client(house: Installation, network: Cloud) -> AsyncIterator[Client]:
    """A client of the tenant bigtop."""
    async with Client(house.url, token=house.tokens["bigtop"]) as made:
        yield made
