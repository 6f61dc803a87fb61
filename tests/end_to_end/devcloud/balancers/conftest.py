"""One cluster of a tenant before the real Octavia, for all that is told of its load balancers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest
from kubernetes_asyncio.client.api_client import ApiClient

from devcloud.api import Supervisor, open_devcloud
from tests.support import devcloud
from tests.support.magnum import Clusters
from tests.support.octavia import TenantNetwork


@pytest.fixture(scope="package")
def environment() -> dict[str, str]:
    """The environment of the running cloud."""
    return devcloud.up("kubernetes-balancers")


@pytest.fixture(scope="package")
def supervisor(environment: dict[str, str]) -> Supervisor:
    """The running cloud."""
    del environment
    return open_devcloud()


@pytest.fixture(scope="package")
def alice(environment: dict[str, str]) -> Clusters:
    """The clusters of a member of bigtop."""
    return Clusters(environment, "alice")


@pytest.fixture(scope="package")
def bigtop(environment: dict[str, str]) -> TenantNetwork:
    """What bigtop has of load balancers."""
    return TenantNetwork(environment, "alice")


@pytest.fixture(scope="package")
def octavia(environment: dict[str, str]) -> Any:
    """Octavia itself, to a member of bigtop."""
    config = openstack.config.OpenStackConfig(config_files=[environment["OS_CLIENT_CONFIG_FILE"]])
    return openstack.connection.Connection(config=config.get_one(cloud="alice")).load_balancer


@pytest.fixture(scope="package")
def template(alice: Clusters) -> Iterator[str]:
    """A template of Alice's."""
    with alice.template() as made:
        yield made


@pytest.fixture(scope="package")
def cluster(alice: Clusters, bigtop: TenantNetwork, template: str) -> Iterator[str]:
    """A cluster of Alice's with a node; nothing of it is left afterwards."""
    made = alice.begin(template, nodes=1)
    try:
        alice.until(made, "CREATE_COMPLETE")
        yield made
    finally:
        alice.delete(made)
    assert not bigtop.leftovers(made)


@pytest.fixture
async def api(alice: Clusters, cluster: str, tmp_path: Path) -> AsyncIterator[ApiClient]:
    """The API server of that cluster, to its owner."""
    async with alice.access(cluster).connected(tmp_path) as opened:
        yield opened
