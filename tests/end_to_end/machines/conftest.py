"""A Colobus with a metal, and the eyes and hands of those who own the parts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from colobus.client import Client
from colobus.golden_images import GoldenImages
from devcloud.images import TinyImage
from devcloud.provisioning import network_of
from tests.end_to_end.machines.seen import METAL, STORE
from tests.integration.iscsi_worker.world import World, make_world
from tests.support import devcloud
from tests.support.bare_metal import Metal
from tests.support.cloud import Cloud
from tests.support.installation import SERVICES, Installation, free_ports, installation
from tests.support.installation import Metal as MetalEntry

QUOTAS = {"bigtop": {"machines": 4, "floating_ips": 2, "volume_gib": 60}}
#: Patient: on a busy host an emulated processor may stand still for long.
NOP = "nop_interval=5,nop_count=12"


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
    address = network_of(metal.site).portal
    folder = tmp_path_factory.mktemp("store")
    with make_world(devcloud.up("ceph"), folder, address=address, nop=NOP) as made:
        yield made


@pytest.fixture(scope="package")
def tiny(metal: Metal, world: World) -> str:
    """A golden image with the smallest Linux there is."""
    return _imported(metal, world, "tiny")


@pytest.fixture(scope="package")
def phoning(metal: Metal, world: World) -> str:
    """The same, imported as one whose systems phone home."""
    return _imported(metal, world, "phoning", phones_home=True)


def _imported(metal: Metal, world: World, name: str, *, phones_home: bool = False) -> str:
    name = f"{world.installation}-{name}"
    path = TinyImage(metal.site).build()
    with path.open("rb") as file:
        GoldenImages(world.rbd, world.pool).add(
            name,
            file,
            path.stat().st_size,
            replace=False,
            progress=lambda _: None,
            phones_home=phones_home,
        )
    world.golden.append(name)
    return name


@pytest.fixture(scope="package")
def house(
    environment: dict[str, str],
    metal: Metal,
    world: World,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    """All services with a metal; the worker's marks are those of `world`.

    Machines reach the iscsi_worker where they reach the gateway: in their own network.
    """
    folder = tmp_path_factory.mktemp("machines")
    (access,) = world.stores().values()
    entry = MetalEntry({"store": STORE, "cloud": "devcloud"}, {"cloud": "devcloud-bare-metal"})
    address, (port,) = network_of(metal.site).portal, free_ports(1)
    phone = {
        "COLOBUS_PHONE_HOME_URL": f"http://{address}:{port}",
        "COLOBUS_PHONE_HOME_HOST": address,
        "COLOBUS_PHONE_HOME_PORT": str(port),
    }
    places: dict[str, Any] = {"stores": {STORE: access}, "metals": {METAL: entry}}
    with installation(environment, folder, QUOTAS, {"iscsi_worker": phone}, **places) as made:
        world.installation = made.name
        made.start(*SERVICES, "iscsi_worker", "baremetal_worker")
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
