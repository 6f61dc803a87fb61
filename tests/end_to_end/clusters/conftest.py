"""One installation with a k8s_worker for all tests of clusters, and Magnum as its owner sees it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from colobus.client import Client
from devcloud.api import Supervisor, open_devcloud
from devcloud.components.magnum import RECIPES
from tests.support import devcloud
from tests.support.cloud import Cloud
from tests.support.conditions import eventually_sync
from tests.support.installation import SERVICES, Installation, installation
from tests.support.kubectl import Kubectl
from tests.support.octavia import TenantNetwork

QUOTAS = {"bigtop": {"clusters": 4}, "openlab": {"clusters": 1}}
#: Beside Kubernetes' own, which the first time is built.
LONGEST = 1800


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test may have to wait until Kubernetes is built."""
    for item in items:
        if "end_to_end/clusters" in item.nodeid:
            item.add_marker(pytest.mark.timeout(LONGEST))


@dataclass(frozen=True)
class Magnum:
    """The tenants' projects as the service user sees them, and the hosts of clusters."""

    environment: dict[str, str]
    cloud: Cloud
    supervisor: Supervisor

    def of(self, tenant: str) -> Any:
        """Magnum, in the tenant's project."""
        return self.connection(tenant).container_infrastructure_management

    def connection(self, tenant: str) -> Any:
        """A connection to the tenant's project, as the user who asks for clusters."""
        project = self.environment[f"DEVCLOUD_PROJECT_ID_{tenant.upper()}"]
        return self.cloud.connect("devcloud", project)

    def clusters(self, tenant: str = "bigtop") -> list[dict[str, Any]]:
        """The tenant's clusters that are this installation's, as Magnum lists them."""
        magnum = self.of(tenant)

        def listed() -> Any:
            answer = magnum.get("/clusters/detail")
            return answer if answer.status_code == 200 else None  # 400: one begins, or ends

        return self.ours(eventually_sync(listed, what="Magnum lists clusters").json())

    def ours(self, shown: dict[str, Any]) -> list[dict[str, Any]]:
        """Those that are this installation's, of a list of clusters as Magnum answers it."""
        owner = self.cloud.marks.installation_id
        found: list[dict[str, Any]] = shown["clusters"]
        return [one for one in found if one["labels"].get("colobus_installation") == owner]

    def templates(self, tenant: str = "bigtop") -> list[str]:
        """The names of the templates that this installation has made."""
        found = self.of(tenant).cluster_templates()
        prefix = f"colobus-{self.cloud.marks.installation_id}-"
        return [one.name for one in found if one.name.startswith(prefix)]

    def make_by_hand(self, resource_id: str) -> str:
        """Make a cluster of bigtop's that bears the marks of a resource; return its id."""
        magnum = self.of("bigtop")
        (name,) = self.templates()
        owner = self.cloud.marks.installation_id
        body = {
            "name": resource_id,
            "cluster_template_id": name,
            "node_count": 1,
            "labels": {"colobus_installation": owner, "colobus_resource": resource_id},
            "merge_labels": True,
        }
        return str(magnum.post("/clusters", json=body).json()["uuid"])

    def clear(self, tenant: str) -> None:
        """Remove what a test that failed has left; no template, of which one may be coming yet."""
        magnum = self.of(tenant)
        for one in self.clusters(tenant):
            magnum.delete_cluster(one["uuid"])
        eventually_sync(lambda: not self.clusters(tenant), within=120, what="no cluster is left")


def decoded(text: str) -> bytes:
    """What a kubeconfig has in base64."""
    return base64.b64decode(text, validate=True)


@pytest.fixture(scope="package")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """A client that shares nothing with ours."""
    return Kubectl.fetched(tmp_path_factory.mktemp("kubectl"))


@pytest.fixture(scope="package")
def with_magnum() -> dict[str, str]:
    """The environment of the running cloud, Magnum included."""
    return devcloud.up("magnum", "rabbitmq", "postgresql")


@pytest.fixture(scope="package")
def balancers() -> TenantNetwork:
    """Who gives Services and Ingresses their addresses runs; what bigtop has of load balancers."""
    return TenantNetwork(devcloud.up("kubernetes-balancers"), "alice")


@pytest.fixture(scope="package")
def house(
    with_magnum: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """All services, with the k8s_worker, running."""
    folder = tmp_path_factory.mktemp("clusters")
    recipes = folder / "cluster_templates.yaml"
    recipes.write_text(yaml.safe_dump(RECIPES))
    extra = {
        "k8s_worker": {"COLOBUS_CLUSTER_TEMPLATES_FILE": str(recipes)},
        "scheduler": {
            "COLOBUS_CENSUS_SECONDS": "5",
            "COLOBUS_ORPHAN_MARGIN_SECONDS": "1",
            "COLOBUS_INSPECT_PUSHED_SECONDS": "10",
        },
    }
    with installation(with_magnum, folder, QUOTAS, extra) as made:
        made.start(*SERVICES, "k8s_worker")
        yield made


@pytest.fixture(scope="package")
def magnum(with_magnum: dict[str, str], house: Installation) -> Iterator[Magnum]:
    """What is in Magnum; what a failed test left there goes at the end."""
    seen = Magnum(with_magnum, Cloud(with_magnum, house.name), open_devcloud())
    yield seen
    house.stop()
    for tenant in QUOTAS:
        seen.clear(tenant)


@pytest.fixture
async def bigtop(house: Installation) -> AsyncIterator[Client]:
    """A client of the tenant bigtop."""
    async with Client(house.url, token=house.tokens["bigtop"]) as client:
        yield client


@pytest.fixture
async def openlab(house: Installation) -> AsyncIterator[Client]:
    """A client of the tenant openlab."""
    async with Client(house.url, token=house.tokens["openlab"]) as client:
        yield client
