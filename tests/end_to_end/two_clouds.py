"""What the tests of several clouds share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from colobus.client import Client
from colobus.models import CreateVm, Phase, Resource
from tests.support.cloud import Cloud
from tests.support.installation import Installation

ONE, TWO = "devcloud", "devcloud-two"
SMALL = CreateVm(image="debian-12", flavor="small")


@dataclass
class TwoClouds:
    """``projects``: {cloud: the project of bigtop there}."""

    installed: Installation
    cloud: Cloud
    projects: dict[str, str]

    def where(self, vm: str) -> list[str]:
        """The clouds that hold anything of a VM, once for each thing."""
        held = self.cloud.holds(vm)
        owners = [server["tenant_id"] for server in held.servers]
        owners += [one.project_id for one in (*held.ports, *held.floating_ips)]
        names = {project: name for name, project in self.projects.items()}
        return [names[owner] for owner in owners]

    @contextmanager
    def room(self, cloud: str, servers: int) -> Iterator[None]:
        """Let Nova allow bigtop no more than so many further servers on this cloud."""
        compute, project = self.cloud.admin.compute, self.projects[cloud]
        usual = compute.get_quota_set(project).instances
        there = len(list(compute.servers(all_projects=True, project_id=project)))
        compute.update_quota_set(project, instances=there + servers)
        try:
            yield
        finally:
            compute.update_quota_set(project, instances=usual)


def cloud_of(vm: Resource) -> str:
    assert vm.status.placement is not None
    return vm.status.placement.place


def said_of(vm: Resource, cloud: str) -> str:
    assert vm.status.placement is not None
    (line,) = [one for one in vm.status.placement.explanation if one.startswith(f"{cloud}:")]
    return line


async def delete_all(client: Client, *vms: Resource) -> None:
    for vm in vms:
        await client.delete(vm.id)
    for vm in vms:
        await client.wait(vm.id, Phase.DELETED, timeout=300)
