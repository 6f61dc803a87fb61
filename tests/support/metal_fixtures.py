"""Fixtures of those who use a Colobus with a metal; their `house` is `support.metal_house`'s."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from colobus.client import Client
from tests.integration.iscsi_worker.world import World
from tests.support.bare_metal import Metal
from tests.support.cloud import Cloud
from tests.support.installation import Installation
from tests.support.metal_house import metal_store


@pytest.fixture(scope="package")
def world(metal: Metal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The pool as an administrator sees it, and a tgtd of these tests' own in the machines' net."""
    with metal_store(metal, tmp_path_factory.mktemp("store")) as made:
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
