"""What an operator sets up in a new cloud: tenants, users, quotas, flavors, an image, a network."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from devcloud.component import Component
from devcloud.components.neutron import PHYSICAL_NETWORK
from devcloud.credentials import write_private
from devcloud.keystone_client import connect_admin
from devcloud.tenants import (
    BARE_METAL_CLOUD,
    CLOUD,
    CLOUDS,
    PEOPLE,
    SERVICE_USER,
    TENANTS,
    clouds_yaml,
)

if TYPE_CHECKING:
    from openstack.connection import Connection


@dataclass(frozen=True, slots=True)
class Flavor:
    """A size of server; `specs` may make it slow or broken, see the hypervisor's plugin."""

    name: str
    vcpus: int
    ram: int
    disk: int
    specs: dict[str, str] = field(default_factory=dict)


FLAVORS = (
    Flavor("small", 1, 512, 1),
    Flavor("medium", 2, 2048, 10),
    Flavor("huge", 1, 300_000, 1),  # fits the quota, and no host but the second cloud's own
    Flavor("slow", 1, 512, 1, {"devcloud:spawn_seconds": "30"}),
    Flavor("broken", 1, 512, 1, {"devcloud:spawn_fails": "simulated spawn failure"}),
)
IMAGE = "debian-12"
IMAGE_CONTENT = b"no guest runs here\n" * 64
EXTERNAL_NETWORK = "external"
# RAM is not what limits: a `huge` server shall fail for want of a host, not of quota.
COMPUTE_QUOTA = {"instances": 50, "cores": 100, "ram": 10**8}
# Every installation of Colobus (the demo's, each of the tests') has a network and a router here.
NETWORK_QUOTA = {
    "floating_ips": 20,
    "ports": 200,
    "security_groups": 100,
    "networks": 100,
    "subnets": 100,
    "routers": 100,
}


class Catalog(Component):
    """The contents of a new cloud. Repeating it makes only what is missing."""

    name = "catalog"
    requires: ClassVar[tuple[str, ...]] = ("nova-api", "neutron", "glance")
    wants: ClassVar[tuple[str, ...]] = ("nova",)

    def configured(self) -> bool:
        """Tell whether all that the tables of now name was made."""
        return self.site.is_done(self._step())

    def configure(self) -> None:
        """Make what is missing, and write down what clients need to know."""
        cloud = connect_admin(self.site)
        projects = {tenant: _projects(cloud, tenant) for tenant in TENANTS}
        for person in PEOPLE:
            self._user(cloud, person.name, {projects[person.tenant][CLOUD]: person.role})
        every = [project for of_tenant in projects.values() for project in of_tenant.values()]
        self._user(cloud, SERVICE_USER, dict.fromkeys(every, "member"))
        for project in every:
            cloud.compute.update_quota_set(project, **COMPUTE_QUOTA)
            cloud.network.update_quota(project, **NETWORK_QUOTA)
        for flavor in FLAVORS:
            _flavor(cloud, flavor)
        _image(cloud)
        _external_network(cloud)
        self._tell(projects)
        self.site.mark_done(self._step())

    def _step(self) -> str:
        """Return what names these contents: others are made when the tables have changed."""
        tables = (
            FLAVORS,
            IMAGE,
            COMPUTE_QUOTA,
            NETWORK_QUOTA,
            TENANTS,
            CLOUDS,
            PEOPLE,
            BARE_METAL_CLOUD,
        )
        return f"{self.name}-{hashlib.sha256(repr(tables).encode()).hexdigest()[:12]}"

    def _user(self, cloud: Connection, name: str, roles: dict[str, str]) -> None:
        user = cloud.identity.find_user(name) or cloud.identity.create_user(
            name=name, domain_id="default", password=self.site.credentials[name]
        )
        for project, role_name in roles.items():
            role = cloud.identity.find_role(role_name, ignore_missing=False)
            cloud.identity.assign_project_role_to_user(project, user, role)

    def _tell(self, projects: dict[str, dict[str, str]]) -> None:
        tenants = {
            tenant: {
                "project_id": of_tenant[CLOUD],
                "projects": of_tenant,
                "users": {
                    p.name: self.site.credentials[p.name] for p in PEOPLE if p.tenant == tenant
                },
            }
            for tenant, of_tenant in projects.items()
        }
        people = {person.name: person.tenant for person in PEOPLE}
        write_private(self.site.paths.clouds_yaml, clouds_yaml(self.site, people))
        write_private(self.site.paths.tenants_json, json.dumps(tenants, indent=1) + "\n")


def _projects(cloud: Connection, tenant: str) -> dict[str, str]:
    """Return the tenant's project on each cloud."""
    return {name: _project(cloud, form.format(tenant=tenant)) for name, form in CLOUDS.items()}


def _project(cloud: Connection, name: str) -> str:
    project = cloud.identity.find_project(name) or cloud.identity.create_project(
        name=name, domain_id="default"
    )
    return str(project.id)


def _flavor(cloud: Connection, flavor: Flavor) -> None:
    size = {"vcpus": flavor.vcpus, "ram": flavor.ram, "disk": flavor.disk}
    found = cloud.compute.find_flavor(flavor.name)
    if found is not None and {name: found[name] for name in size} != size:
        cloud.compute.delete_flavor(found)  # made by an older table; a flavor can't be changed
        found = None
    if found is None:
        made = cloud.compute.create_flavor(name=flavor.name, **size)
        if flavor.specs:
            cloud.compute.create_flavor_extra_specs(made, flavor.specs)


def _image(cloud: Connection) -> None:
    found = cloud.image.find_image(IMAGE)
    if found is not None and found.status == "active":
        return
    if found is not None:  # its upload was interrupted
        cloud.image.delete_image(found)
    formats = {"disk_format": "raw", "container_format": "bare", "visibility": "public"}
    cloud.image.create_image(name=IMAGE, data=IMAGE_CONTENT, wait=True, timeout=60, **formats)


def _external_network(cloud: Connection) -> None:
    network = cloud.network.find_network(EXTERNAL_NETWORK) or cloud.network.create_network(
        name=EXTERNAL_NETWORK,
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network=PHYSICAL_NETWORK,
    )
    if not list(cloud.network.subnets(network_id=network.id)):
        cloud.network.create_subnet(
            name=EXTERNAL_NETWORK,
            network_id=network.id,
            ip_version=4,
            cidr="203.0.113.0/24",  # TEST-NET-3 of RFC 5737: never routed
            gateway_ip="203.0.113.1",
            allocation_pools=[{"start": "203.0.113.10", "end": "203.0.113.210"}],
            is_dhcp_enabled=False,
        )
