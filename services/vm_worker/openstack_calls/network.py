"""Neutron: one method per call. What makes up a default network is in `network_parts`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.vm_worker.cloud_objects import FloatingIp, Network, NewPort, Port
from services.vm_worker.openstack_calls.network_parts import NetworkParts, network_from
from services.vm_worker.remembered import Remembered, is_uuid
from shared.contract.problems import Reason
from shared.worker.errors import NotFound, Refused


@dataclass(frozen=True)
class NetworkNames:
    """What the names of networks and security groups mean in one project."""

    networks: Remembered[Network] = field(default_factory=lambda: Remembered(ttl=300))
    external: Remembered[list[Network]] = field(default_factory=lambda: Remembered(ttl=300))
    groups: Remembered[str] = field(default_factory=lambda: Remembered(ttl=300))

    def forget(self) -> None:
        """Ask anew from now on."""
        for names in (self.networks, self.external, self.groups):
            names.forget()


@dataclass(frozen=True)
class OpenStackNetwork(NetworkParts):
    """`services.vm_worker.backend.Networking` on openstacksdk."""

    names: NetworkNames

    async def network(self, name_or_id: str) -> Network:
        """Return the project's own or a shared network, by name or id."""
        return await self.names.networks.get(name_or_id, lambda: self._find_network(name_or_id))

    async def _find_network(self, name_or_id: str) -> Network:
        found = await self.calls(lambda cloud: list(cloud.network.networks(name=name_or_id)))
        usable = [one for one in found if self._may_use(one)]
        if not usable and is_uuid(name_or_id):
            by_id = await self.calls(lambda cloud: list(cloud.network.networks(id=name_or_id)))
            usable = [one for one in by_id if self._may_use(one)]
        own = [one for one in usable if one.project_id == self.calls.project_id]
        candidates = own or usable
        if len(candidates) > 1:
            raise Refused(
                f"{len(candidates)} networks are called {name_or_id!r}; name one by its id.",
                reason=Reason.NETWORK_NOT_FOUND,
            )
        if not candidates:
            detail = f"The project has no network called {name_or_id!r}."
            raise NotFound(detail, reason=Reason.NETWORK_NOT_FOUND)
        return network_from(candidates[0], self.calls.project_id)

    def _may_use(self, network: Any) -> bool:
        """A service user with more rights than a member must not lend them to tenants."""
        own = network.project_id == self.calls.project_id
        return bool(own or network.is_shared or network.is_router_external)

    async def external_networks(self) -> list[Network]:
        """Return the external networks, the cloud's default one first, then by name."""
        return await self.names.external.get("", self._find_external)

    async def _find_external(self) -> list[Network]:
        found = await self.calls(
            lambda cloud: list(cloud.network.networks(is_router_external=True))
        )
        networks = [network_from(one, self.calls.project_id) for one in found]
        return sorted(networks, key=lambda network: (not network.default, network.name))

    async def security_group_ids(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the ids of the project's groups, in the order asked."""
        return tuple([await self._group_id(name) for name in names])

    async def _group_id(self, name: str) -> str:
        return await self.names.groups.get(name, lambda: self._find_group(name))

    async def _find_group(self, name_or_id: str) -> str:
        found = await self.calls(
            lambda cloud: list(cloud.network.security_groups(project_id=self.calls.project_id))
        )
        named = [one for one in found if one.name == name_or_id]
        named = named or [one for one in found if one.id == name_or_id]
        if len(named) == 1:
            return str(named[0].id)
        detail = (
            f"{len(named)} security groups are called {name_or_id!r}; name one by its id."
            if named
            else f"The project has no security group called {name_or_id!r}."
        )
        raise NotFound(detail, reason=Reason.SECURITY_GROUP_NOT_FOUND)

    def forget(self) -> None:
        """Look names up anew."""
        self.names.forget()

    async def create_port(self, new: NewPort) -> Port:
        """POST /ports; where the cloud doesn't take tags with it, they follow at once."""
        fields: dict[str, Any] = {
            "network_id": new.network_id,
            "name": new.name,
            "description": new.description,
            "tags": list(new.tags),
        }
        if new.mac_address is not None:
            fields["mac_address"] = new.mac_address
        if new.security_group_ids is not None:
            fields["security_group_ids"] = list(new.security_group_ids)
        made = await self.calls(
            lambda cloud: cloud.network.create_port(**fields), missing=Reason.NETWORK_NOT_FOUND
        )
        await self.tag(made, new.tags)
        return _port(made)

    async def ports(
        self,
        *,
        ids: Sequence[str] = (),
        name: str | None = None,
    ) -> list[Port]:
        """GET /ports with filters."""
        filters = self.filters(id=ids, name=name)
        found = await self.calls(lambda cloud: list(cloud.network.ports(**filters)))
        return [_port(one) for one in found]

    async def free_port(self, port_id: str) -> None:
        """PUT /ports/{id}."""
        with contextlib.suppress(NotFound):
            await self.calls(
                lambda cloud: cloud.network.update_port(port_id, device_id="", device_owner="")
            )

    async def delete_port(self, port_id: str) -> bool:
        """DELETE /ports/{id}."""
        return await self.delete(lambda cloud: cloud.network.delete_port, port_id)

    async def create_floating_ip(
        self, network_id: str, port_id: str, *, description: str, tags: Sequence[str]
    ) -> FloatingIp:
        """POST /floatingips, on the port at once; its tags follow."""
        made = await self.calls(
            lambda cloud: cloud.network.create_ip(
                floating_network_id=network_id, port_id=port_id, description=description
            )
        )
        await self.tag(made, tags)
        return _floating_ip(made)

    async def floating_ips(
        self,
        *,
        ids: Sequence[str] = (),
        description: str | None = None,
    ) -> list[FloatingIp]:
        """GET /floatingips with filters."""
        filters = self.filters(id=ids, description=description)
        found = await self.calls(lambda cloud: list(cloud.network.ips(**filters)))
        return [_floating_ip(one) for one in found]

    async def delete_floating_ip(self, floating_ip_id: str) -> bool:
        """DELETE /floatingips/{id}."""
        return await self.delete(lambda cloud: cloud.network.delete_ip, floating_ip_id)


def _port(found: Any) -> Port:
    return Port(
        id=found.id,
        name=found.name or "",
        network_id=found.network_id,
        mac_address=found.mac_address,
        status=found.status,
        description=found.description or "",
        device_id=found.device_id or "",
        fixed_ips=tuple(one["ip_address"] for one in found.fixed_ips or ()),
        tags=tuple(found.tags or ()),
        created_at=found.created_at or "",
    )


def _floating_ip(found: Any) -> FloatingIp:
    return FloatingIp(
        id=found.id,
        address=found.floating_ip_address,
        port_id=found.port_id,
        description=found.description or "",
        status=found.status or "",
        tags=tuple(found.tags or ()),
        created_at=found.created_at or "",
    )
