"""The cloud as its administrator sees it: what an installation holds, and switches to pull."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import openstack

from devcloud.api import Supervisor, open_devcloud
from devcloud.tenants import SERVICE_USER
from shared.worker.marks import Marks
from tests.support.conditions import eventually_sync


@dataclass(frozen=True)
class Holdings:
    """What the cloud holds, as Nova and Neutron list it."""

    servers: tuple[Any, ...]
    ports: tuple[Any, ...]
    floating_ips: tuple[Any, ...]

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many servers, ports and floating IPs."""
        return len(self.servers), len(self.ports), len(self.floating_ips)


@dataclass(frozen=True)
class DefaultNetworks:
    """The parts of all tenants' default networks, as Neutron lists them.

    ``interfaces``: the ports by which these routers lead into networks.
    """

    networks: tuple[Any, ...]
    subnets: tuple[Any, ...]
    routers: tuple[Any, ...]
    interfaces: tuple[Any, ...]


NOTHING = (0, 0, 0)


class Cloud:
    """The administrator's view. ``marks`` are those of the installation that is tested."""

    def __init__(self, environment: dict[str, str], installation: str) -> None:
        self._environment = environment
        self.marks = Marks(installation, "vm_worker")
        self.admin = self.connect("devcloud-admin")
        self.supervisor: Supervisor = open_devcloud()

    def connect(self, name: str, project_id: str | None = None) -> Any:
        """A connection as one of the users of clouds.yaml, inside a project if one is named."""
        config = openstack.config.OpenStackConfig(
            config_files=[self._environment["OS_CLIENT_CONFIG_FILE"]]
        )
        project = {} if project_id is None else {"auth": {"project_id": project_id}}
        return openstack.connection.Connection(config=config.get_one(cloud=name, **project))

    def holds(self, resource_id: str | None = None) -> Holdings:
        """What there is of one resource, or of the whole installation (ports of VMs only)."""
        tag = self.marks.installation if resource_id is None else self.marks.resource(resource_id)
        servers = self.admin.compute.get(
            f"/servers/detail?all_tenants=true&tags={tag}", microversion="2.79"
        ).json()["servers"]
        ports = [p for p in self.admin.network.ports() if self._is(p, resource_id)]
        ips = [ip for ip in self.admin.network.ips() if self._is(ip, resource_id)]
        return Holdings(tuple(servers), tuple(ports), tuple(ips))

    def default_networks(self) -> DefaultNetworks:
        """What the installation made for its tenants as a whole."""
        network, ours = self.admin.network, self.marks.description()
        routers = tuple(r for r in network.routers() if r.description == ours)
        ids = {router.id for router in routers}
        interfaces = network.ports(device_owner="network:router_interface")
        return DefaultNetworks(
            networks=tuple(n for n in network.networks() if n.description == ours),
            subnets=tuple(s for s in network.subnets() if s.description == ours),
            routers=routers,
            interfaces=tuple(port for port in interfaces if port.device_id in ids),
        )

    def _is(self, thing: Any, resource_id: str | None) -> bool:
        owner = self.marks.resource_of(thing.tags or (), thing.description or "")
        return owner is not None if resource_id is None else owner == resource_id

    @contextmanager
    def project(self, name: str) -> Iterator[str]:
        """Make a project in which Colobus may work; return its id. It must be empty at the end."""
        identity, network = self.admin.identity, self.admin.network
        named = f"{name}-{secrets.token_hex(4)}"
        project = identity.create_project(name=named, domain_id="default")
        member = identity.find_role("member", ignore_missing=False)
        identity.assign_project_role_to_user(project, identity.find_user(SERVICE_USER), member)
        try:
            yield project.id
        finally:
            for group in network.security_groups(project_id=project.id):
                network.delete_security_group(group)
            identity.delete_project(project)

    @contextmanager
    def without(self, component: str) -> Iterator[None]:
        """Stop a part of the cloud, and start it again at the end."""
        self.supervisor.stop(component)
        try:
            yield
        finally:
            self.supervisor.start(component)

    def clear(self) -> None:
        """Remove the networks that the installation made, and what a test that failed left."""
        self._empty()
        network, left = self.admin.network, self.default_networks()
        for port in left.interfaces:
            network.remove_interface_from_router(port.device_id, port_id=port.id)
        for router in left.routers:
            network.delete_router(router)
        for one in left.networks:
            network.delete_network(one)

    def _empty(self) -> None:
        compute, network = self.admin.compute, self.admin.network
        for server in self.holds().servers:
            compute.delete_server(server["id"])
        eventually_sync(lambda: not self.holds().servers, within=120, what="no server is left")
        for address in self.holds().floating_ips:
            network.delete_ip(address)
        for port in self.holds().ports:
            network.delete_port(port)

    def restart(self, component: str) -> None:
        """Kill a part of the cloud as a crash would, and start it again."""
        self.supervisor.kill(component)
        self.supervisor.start(component)
