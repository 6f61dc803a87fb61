"""One installation with a stack_worker for all tests of stacks, and Heat as its administrator."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import yaml

from colobus.client import Client
from colobus.models import Resource, StepPart
from tests.support import devcloud
from tests.support.cloud import Cloud
from tests.support.installation import SERVICES, Installation, installation

QUOTAS = {"bigtop": {"stacks": 6}, "openlab": {"stacks": 1}}


@dataclass(frozen=True)
class Heat:
    """The tenants' projects as the service user sees them."""

    environment: dict[str, str]
    cloud: Cloud

    def of(self, tenant: str) -> Any:
        """A connection to the tenant's project."""
        project = self.environment[f"DEVCLOUD_PROJECT_ID_{tenant.upper()}"]
        return self.cloud.connect("devcloud", project)

    def stacks(self, tenant: str = "bigtop") -> list[dict[str, Any]]:
        """The tenant's living stacks that are this installation's, as Heat lists them."""
        query = {"tags": self.cloud.marks.installation}
        found = self.of(tenant).orchestration.get("/stacks", params=query).json()
        stacks: list[dict[str, Any]] = found["stacks"]
        return stacks

    def noted(self, stack: str, tenant: str = "bigtop") -> dict[str, str]:
        """The parts of a stack of which Heat knows what they are in their services: {name: id}."""
        heat = self.of(tenant).orchestration
        found = [one["id"] for one in self.stacks(tenant) if one["stack_name"] == stack]
        shown = [heat.get(f"/stacks/{stack}/{id}/resources").json()["resources"] for id in found]
        return {
            one["resource_name"]: one["physical_resource_id"]
            for parts in shown
            for one in parts
            if one["physical_resource_id"]
        }

    def cloud_config(self, server_id: str) -> dict[str, Any]:
        """What a server was given for cloud-init, as only Nova's administrator may see it."""
        shown = self.cloud.admin.compute.get(f"/servers/{server_id}", microversion="2.79").json()
        given: dict[str, Any] = yaml.safe_load(
            base64.b64decode(shown["server"]["OS-EXT-SRV-ATTR:user_data"])
        )
        return given

    def belongings(self, tenant: str = "bigtop") -> dict[str, set[str]]:
        """What the project has in Nova and Neutron: {sort: ids}."""
        project = self.of(tenant)
        network, compute, own = project.network, project.compute, project.current_project_id
        return {
            "servers": {one.id for one in compute.servers()},
            "ports": {one.id for one in network.ports(project_id=own)},
            "networks": {one.id for one in network.networks(project_id=own)},
            "routers": {one.id for one in network.routers(project_id=own)},
            "floating_ips": {one.id for one in network.ips(project_id=own)},
            "security_groups": {one.id for one in network.security_groups(project_id=own)},
        }


def parts_of(stack: Resource) -> dict[str, StepPart]:
    """What the only step of a stack shows of what Heat makes: {name: part}."""
    (step,) = stack.status.steps
    assert step.more_parts == 0
    return {one.name: one for one in step.parts}


def check_times(part: StepPart, since: datetime | None, until: datetime) -> None:
    """Heat began with it and ended between these; it tells whole seconds."""
    assert since is not None
    assert part.started_at is not None, part
    assert part.finished_at is not None, part
    assert since.replace(microsecond=0) <= part.started_at <= part.finished_at <= until, part


@pytest.fixture(scope="session")
def with_heat() -> dict[str, str]:
    """The environment of the running cloud, Heat included."""
    return devcloud.up("catalog", "nova", "heat", "rabbitmq", "postgresql")


@pytest.fixture(scope="session")
def stacking(
    with_heat: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """All services, with the stack_worker, running."""
    with installation(with_heat, tmp_path_factory.mktemp("stacking"), QUOTAS) as made:
        made.start(*SERVICES, "stack_worker")
        yield made


@pytest.fixture(scope="session")
def heat(with_heat: dict[str, str], stacking: Installation) -> Iterator[Heat]:
    """What is in Heat; what a failed test left there goes at the end."""
    seen = Heat(with_heat, Cloud(with_heat, stacking.name))
    yield seen
    stacking.stop()
    for tenant in QUOTAS:
        for stack in seen.stacks(tenant):
            seen.of(tenant).orchestration.delete_stack(stack["id"])
    seen.cloud.clear()


@pytest.fixture
async def bigtop(stacking: Installation) -> AsyncIterator[Client]:
    """A client of the tenant bigtop."""
    async with Client(stacking.url, token=stacking.tokens["bigtop"]) as client:
        yield client


@pytest.fixture
async def openlab(stacking: Installation) -> AsyncIterator[Client]:
    """A client of the tenant openlab."""
    async with Client(stacking.url, token=stacking.tokens["openlab"]) as client:
        yield client
