"""Real systems on machines without a disk: what `make test-diskless` runs, and `make test` not."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcloud.images import DebianImage
from tests.diskless.guest import Key, install, make_key
from tests.integration.iscsi_worker.world import World
from tests.support import devcloud
from tests.support.bare_metal import Metal
from tests.support.installation import Installation
from tests.support.metal_fixtures import client, network, world
from tests.support.metal_house import metal_house, offer

#: Fixtures of theirs, which are this folder's too.
__all__ = ("client", "network", "world")

QUOTAS = {"bigtop": {"machines": 2, "volumes": 4, "volume_gib": 60, "attachments": 4}}
#: Behind the bounds of the tests' own waits, in seconds: emulated machines take their time.
LONGEST = 1800

# What is shown live is how long machines take, and not how a database comes to its tables.
logging.getLogger("yoyo").setLevel(logging.WARNING)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The machines' network is a network namespace."""
    for item in items:
        if "tests/diskless" in item.nodeid:
            item.add_marker(pytest.mark.timeout(LONGEST))
            if os.geteuid() != 0:
                reason = "only root can make network namespaces"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="package")
def environment() -> dict[str, str]:
    """The environment of the running cloud, with its bare metal."""
    return devcloud.up("catalog", "nova", "rabbitmq", "postgresql", "ceph", "bare-metal")


@pytest.fixture(scope="package")
def metal(environment: dict[str, str]) -> Metal:
    """The operator's hands on Ironic and the machines."""
    return Metal()


@pytest.fixture(scope="package")
def debian(metal: Metal, world: World) -> str:
    """A golden image with a Debian as users would have it, whose cloud-init phones home."""
    return offer(DebianImage(metal.site), world, phones_home=True)


@pytest.fixture(scope="package")
def house(
    environment: dict[str, str], world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """All services with a metal of both architectures."""
    folder = tmp_path_factory.mktemp("diskless")
    with metal_house(environment, world, folder, QUOTAS, ("x86_64", "aarch64")) as made:
        yield made


@pytest.fixture(scope="package")
def key(metal: Metal, tmp_path_factory: pytest.TempPathFactory) -> Key:
    """An ssh key that nobody else has."""
    install(metal.site)
    folder: Path = tmp_path_factory.mktemp("key")
    return make_key(folder)
