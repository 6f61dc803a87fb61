"""Neutron: what a tenant's default network is made of, and what all calls to Neutron share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.vm_worker.cloud_objects import Network, Router, Subnet, Taggable
from shared.openstack.calls import Calls


@dataclass(frozen=True)
class NetworkParts:
    """Networks, subnets and routers of the project's own."""

    calls: Calls
    dns_servers: tuple[str, ...]

    async def networks(self, description: str) -> list[Network]:
        """GET /networks?description=…, of the project's own."""
        filters = self.filters(description=description)
        found = await self.calls(lambda cloud: list(cloud.network.networks(**filters)))
        return [network_from(one, self.calls.project_id) for one in found]

    async def create_network(self, name: str, *, description: str, tags: Sequence[str]) -> Network:
        """POST /networks; its tags follow."""
        fields = {"name": name, "description": description}
        made = await self.calls(lambda cloud: cloud.network.create_network(**fields))
        await self.tag(made, tags)
        return network_from(made, self.calls.project_id)

    async def delete_network(self, network_id: str) -> bool:
        """DELETE /networks/{id}, which takes its subnets along."""
        return await self.delete(lambda cloud: cloud.network.delete_network, network_id)

    async def subnets(self, network_id: str) -> list[Subnet]:
        """GET /subnets?network_id=…"""
        found = await self.calls(lambda cloud: list(cloud.network.subnets(network_id=network_id)))
        return [Subnet(one.id, one.gateway_ip) for one in found]

    async def create_subnet(
        self, network_id: str, name: str, cidr: str, *, description: str, tags: Sequence[str]
    ) -> Subnet:
        """POST /subnets; its tags follow."""
        made = await self.calls(
            lambda cloud: cloud.network.create_subnet(
                network_id=network_id,
                name=name,
                description=description,
                cidr=cidr,
                ip_version=4,
                is_dhcp_enabled=True,
                dns_nameservers=list(self.dns_servers),
            )
        )
        await self.tag(made, tags)
        return Subnet(made.id, made.gateway_ip)

    async def routers(self, description: str) -> list[Router]:
        """GET /routers?description=…"""
        filters = self.filters(description=description)
        found = await self.calls(lambda cloud: list(cloud.network.routers(**filters)))
        return [_router(one) for one in found]

    async def create_router(
        self, name: str, gateway_network_id: str, *, description: str, tags: Sequence[str]
    ) -> Router:
        """POST /routers with its gateway; its tags follow."""
        made = await self.calls(
            lambda cloud: cloud.network.create_router(
                name=name,
                description=description,
                external_gateway_info={"network_id": gateway_network_id},
            )
        )
        await self.tag(made, tags)
        return _router(made)

    async def has_interface(self, router_id: str, network_id: str) -> bool:
        """GET /ports?device_id=…&network_id=…"""
        filters = self.filters(device_id=router_id, network_id=network_id)
        return bool(await self.calls(lambda cloud: list(cloud.network.ports(**filters))))

    async def delete_router(self, router_id: str) -> bool:
        """DELETE /routers/{id}."""
        return await self.delete(lambda cloud: cloud.network.delete_router, router_id)

    async def add_router_interface(self, router_id: str, subnet_id: str) -> None:
        """PUT /routers/{id}/add_router_interface."""
        await self.calls(
            lambda cloud: cloud.network.add_interface_to_router(router_id, subnet_id=subnet_id)
        )

    async def tag(self, made: Any, tags: Sequence[str]) -> None:
        """PUT …/tags, unless the object has them already."""
        if not set(tags) <= set(made.tags or ()):
            await self.calls(lambda cloud: cloud.network.set_tags(made, list(tags)))

    async def complete_tags(self, what: Taggable, object_id: str, tags: Sequence[str]) -> None:
        """GET …/{id}, then PUT …/tags, keeping what others have put there."""

        def complete(cloud: Any) -> None:
            get = {
                Taggable.PORT: cloud.network.get_port,
                Taggable.FLOATING_IP: cloud.network.get_ip,
                Taggable.NETWORK: cloud.network.get_network,
                Taggable.ROUTER: cloud.network.get_router,
            }[what]
            found = get(object_id)
            cloud.network.set_tags(found, sorted({*(found.tags or ()), *tags}))

        await self.calls(complete)

    async def delete(self, method: Callable[[Any], Any], object_id: str) -> bool:
        """Call a delete method of the SDK; False when there is no such object."""

        def call(cloud: Any) -> bool:
            method(cloud)(object_id, ignore_missing=False)
            return True

        return await self.calls.unless_gone(call) or False

    def filters(self, **given: Any) -> dict[str, Any]:
        """Query parameters for what is given, always within the project; several ids are ORed."""
        filters: dict[str, Any] = {"project_id": self.calls.project_id}
        for name, value in given.items():
            if value:
                filters[name] = list(value) if name == "id" else value
        return filters


def network_from(found: Any, project_id: str) -> Network:
    """Read a network of the SDK."""
    return Network(
        id=found.id,
        name=found.name or "",
        own=found.project_id == project_id,
        has_subnets=bool(found.subnet_ids),
        external=bool(found.is_router_external),
        default=bool(found.is_default),
        tags=tuple(found.tags or ()),
        created_at=found.created_at or "",
    )


def _router(found: Any) -> Router:
    gateway = found.external_gateway_info or {}
    return Router(
        id=found.id,
        tags=tuple(found.tags or ()),
        gateway_network_id=gateway.get("network_id"),
        created_at=found.created_at or "",
    )
