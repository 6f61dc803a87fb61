"""A Colobus with a metal, and the eyes and hands of those who own the parts."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from devcloud.images import TinyImage
from tests.integration.iscsi_worker.world import World
from tests.support import devcloud
from tests.support.bare_metal import Metal
from tests.support.installation import Installation
from tests.support.metal_fixtures import client, network, world
from tests.support.metal_house import metal_house, offer

#: Fixtures of theirs, which are this folder's too.
__all__ = ("client", "network", "world")

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
