"""What we ask of a cloud, as Protocols; `openstack_calls` is what answers.

All calls are about one tenant's project. Errors come out as `TemporaryError` (the outcome of a
create is then unknown) or as one of `shared.worker.errors`. Nothing starts after the deadline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.vm_worker.cloud_objects import (
    FloatingIp,
    Network,
    NewPort,
    NewServer,
    Port,
    PowerAction,
    Router,
    Server,
    ServerAction,
    Subnet,
    Taggable,
)
from shared.contract.messages import CloudCatalog
from shared.runtime.deadline import Deadline


class Compute(Protocol):
    """Nova, and Glance for the names of images."""

    async def image_id(self, name_or_id: str) -> str:
        """Return the newest active image of that name; `NotFound` (image_not_found)."""

    async def flavor_id(self, name_or_id: str) -> str:
        """Return the flavor's id; `NotFound` (flavor_not_found)."""

    def forget(self) -> None:
        """Names may have come to mean something else: look them up anew."""

    async def create_server(self, new: NewServer) -> Server:
        """Start building a server. Only its id is certain in what returns."""

    async def servers(self, *tags: str) -> list[Server]:
        """Return the servers that have all these tags."""

    async def server(self, server_id: str) -> Server | None:
        """Return one server; None when Nova knows none of that id."""

    async def delete_server(self, server_id: str) -> bool:
        """Start deleting; False when there is none of that id."""

    async def change_power(self, server_id: str, action: PowerAction) -> None:
        """Start a power action; `Conflict` when the server's state forbids it."""

    async def actions(self, server_id: str) -> list[ServerAction]:
        """Return what was done to the server, newest first."""


class Networking(Protocol):
    """Neutron."""

    async def network(self, name_or_id: str) -> Network:
        """Return the network that the project knows by that name; `NotFound` when it has none."""

    async def networks(self, description: str) -> list[Network]:
        """Return the project's own networks of this description."""

    async def external_networks(self) -> list[Network]:
        """Return the external networks, the cloud's default one first."""

    async def security_group_ids(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the ids; `NotFound` (security_group_not_found) names the missing one."""

    def forget(self) -> None:
        """Names may have come to mean something else: look them up anew."""

    async def create_port(self, new: NewPort) -> Port:
        """Make a port; `Conflict` with code MacAddressInUse when the network has that address."""

    async def ports(
        self,
        *,
        ids: Sequence[str] = (),
        name: str | None = None,
    ) -> list[Port]:
        """Return the project's ports, those of these ids or of this name."""

    async def free_port(self, port_id: str) -> None:
        """Take the port off the server that it is on, whatever becomes of that; gone is fine."""

    async def delete_port(self, port_id: str) -> bool:
        """Delete; False when there is none of that id."""

    async def create_floating_ip(
        self, network_id: str, port_id: str, *, description: str, tags: Sequence[str]
    ) -> FloatingIp:
        """Make a floating IP on the port, in one call; `Conflict` when the port has one."""

    async def floating_ips(
        self,
        *,
        ids: Sequence[str] = (),
        description: str | None = None,
    ) -> list[FloatingIp]:
        """Return the project's floating IPs, those of these ids or of this description."""

    async def delete_floating_ip(self, floating_ip_id: str) -> bool:
        """Delete; False when there is none of that id."""

    async def complete_tags(self, what: Taggable, object_id: str, tags: Sequence[str]) -> None:
        """Add the tags to an object whose maker did not come that far."""

    # What a default network is made of:

    async def create_network(self, name: str, *, description: str, tags: Sequence[str]) -> Network:
        """Make a network of the project's own."""

    async def delete_network(self, network_id: str) -> bool:
        """Delete with its subnets; `Conflict` when it is in use."""

    async def subnets(self, network_id: str) -> list[Subnet]:
        """Return the network's subnets."""

    async def create_subnet(
        self, network_id: str, name: str, cidr: str, *, description: str, tags: Sequence[str]
    ) -> Subnet:
        """Make an IPv4 subnet with DHCP."""

    async def routers(self, description: str) -> list[Router]:
        """Return the project's routers of this description."""

    async def has_interface(self, router_id: str, network_id: str) -> bool:
        """Tell whether the router is on the network."""

    async def create_router(
        self, name: str, gateway_network_id: str, *, description: str, tags: Sequence[str]
    ) -> Router:
        """Make a router that leads to an external network."""

    async def delete_router(self, router_id: str) -> bool:
        """Delete; `Conflict` when it has interfaces."""

    async def add_router_interface(self, router_id: str, subnet_id: str) -> None:
        """Put the router on the subnet, as its gateway."""


class Project(Protocol):
    """One tenant's project on one cloud, for as long as one command may work."""

    @property
    def cloud(self) -> str:
        """The cloud's name in clouds.yaml."""

    @property
    def tenant(self) -> str:
        """The tenant's name."""

    @property
    def compute(self) -> Compute:
        """Nova and Glance."""

    @property
    def network(self) -> Networking:
        """Neutron."""

    async def catalog(self) -> CloudCatalog:
        """Return what the project can ask for."""


class Backend(Protocol):
    """All clouds of this worker."""

    def project(self, cloud: str, tenant: str, deadline: Deadline) -> Project:
        """Return the tenant's project; `PermanentError` (no_cloud) where it has none there."""
