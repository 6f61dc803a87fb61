"""What is asked of one Ironic for one command: `backend.Metal` on python-ironicclient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.baremetal_worker.calls import Calls
from services.baremetal_worker.ironic_objects import (
    MORE_FIELDS,
    NODE_FIELDS,
    STATE_FIELDS,
    allocation_of,
    connector_of,
    node_of,
    target_of,
)
from services.baremetal_worker.metals_file import Flavor, MetalAccess
from services.baremetal_worker.node_objects import (
    Allocation,
    Connector,
    NewAllocation,
    Node,
    Power,
    Target,
    Verb,
)
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.worker.chap import Account
from shared.worker.errors import NotFound

#: For the lists: as many as there are, page by page.
_ALL = 0


@dataclass(frozen=True)
class IronicMetal:
    """One metal; every call is one request, or one list."""

    name: str
    access: MetalAccess
    calls: Calls

    @property
    def deadline(self) -> Deadline:
        """The command's."""
        return self.calls.deadline

    def flavor(self, name: str) -> Flavor:
        """As the metals file says."""
        found = self.access.flavor(name)
        if found is None:
            detail = f"Metal {self.name} has no flavor {name!r}."
            raise NotFound(detail, reason=Reason.FLAVOR_NOT_FOUND)
        return found

    @property
    def flavors(self) -> Mapping[str, Flavor] | None:
        """As the metals file says."""
        return self.access.flavors

    async def nodes(self, resource_class: str | None = None) -> list[Node]:
        """GET /v1/nodes."""
        found = await self.calls.read(
            lambda ironic: ironic.node.list(
                limit=_ALL, fields=list(NODE_FIELDS), resource_class=resource_class
            )
        )
        return [node_of(one) for one in found]

    async def states(self) -> list[Node]:
        """GET /v1/nodes, with little of each."""
        found = await self.calls.read(
            lambda ironic: ironic.node.list(limit=_ALL, fields=list(STATE_FIELDS))
        )
        return [node_of(one) for one in found]

    async def node(self, node_id: str) -> Node | None:
        """GET /v1/nodes/{id}."""
        fields = [*NODE_FIELDS, *MORE_FIELDS]
        found = await self.calls.unless_gone(lambda ironic: ironic.node.get(node_id, fields=fields))
        return None if found is None else node_of(found)

    async def reserved_node(self, allocation_id: str) -> Node | None:
        """GET /v1/nodes?instance_uuid={id}: Ironic notes both at once."""
        found = await self.calls.unless_gone(
            lambda ironic: ironic.node.get_by_instance_uuid(allocation_id, fields=list(NODE_FIELDS))
        )
        return None if found is None else node_of(found)

    async def change_node(self, node_id: str, changes: Mapping[str, Any]) -> None:
        """PATCH /v1/nodes/{id} (RFC 6902); adding to an object replaces what is there."""
        patch = [
            {"op": "remove", "path": path}
            if value is None
            else {"op": "add", "path": path, "value": value}
            for path, value in changes.items()
        ]
        await self.calls.change(lambda ironic: ironic.node.update(node_id, patch))

    async def allocation(self, name_or_id: str) -> Allocation | None:
        """GET /v1/allocations/{id}."""
        found = await self.calls.unless_gone(lambda ironic: ironic.allocation.get(name_or_id))
        return None if found is None else allocation_of(found)

    async def allocations(self) -> list[Allocation]:
        """GET /v1/allocations."""
        found = await self.calls.read(lambda ironic: ironic.allocation.list(limit=_ALL))
        return [allocation_of(one) for one in found]

    async def allocate(self, new: NewAllocation) -> Allocation:
        """POST /v1/allocations."""
        fields = {
            "name": new.name,
            "resource_class": new.resource_class,
            "traits": list(new.traits),
            "extra": dict(new.extra),
        }
        made = await self.calls.change(lambda ironic: ironic.allocation.create(**fields))
        return allocation_of(made)

    async def deallocate(self, allocation_id: str) -> None:
        """DELETE /v1/allocations/{id}."""
        await self.calls.remove(lambda ironic: ironic.allocation.delete(allocation_id))

    async def connectors(self, node_id: str | None = None) -> list[Connector]:
        """GET /v1/volume/connectors."""
        found = await self.calls.read(
            lambda ironic: ironic.volume_connector.list(node=node_id, limit=_ALL, detail=True)
        )
        return [connector_of(one) for one in found]

    async def connector(self, connector_id: str) -> Connector | None:
        """GET /v1/volume/connectors/{id}."""
        found = await self.calls.unless_gone(
            lambda ironic: ironic.volume_connector.get(connector_id)
        )
        return None if found is None else connector_of(found)

    async def add_connector(
        self, node_id: str, initiator_iqn: str, extra: Mapping[str, Any]
    ) -> None:
        """POST /v1/volume/connectors."""
        await self.calls.change(
            lambda ironic: ironic.volume_connector.create(
                node_uuid=node_id, type="iqn", connector_id=initiator_iqn, extra=dict(extra)
            )
        )

    async def remove_connector(self, connector_id: str) -> None:
        """DELETE /v1/volume/connectors/{id}."""
        await self.calls.remove(lambda ironic: ironic.volume_connector.delete(connector_id))

    async def targets(self, node_id: str | None = None) -> list[Target]:
        """GET /v1/volume/targets."""
        found = await self.calls.read(
            lambda ironic: ironic.volume_target.list(node=node_id, limit=_ALL, detail=True)
        )
        return [target_of(one) for one in found]

    async def target(self, target_id: str) -> Target | None:
        """GET /v1/volume/targets/{id}."""
        found = await self.calls.unless_gone(lambda ironic: ironic.volume_target.get(target_id))
        return None if found is None else target_of(found)

    async def add_target(self, target: Target, account: Account) -> None:
        """POST /v1/volume/targets; Ironic shows the password to nobody again."""
        properties = {
            "target_iqn": target.iqn,
            "target_lun": target.lun,
            "target_portal": target.portal,
            "auth_method": "CHAP",
            "auth_username": account.username,
            "auth_password": str(account.secret),
        }
        await self.calls.change(
            lambda ironic: ironic.volume_target.create(
                node_uuid=target.node_id,
                volume_type="iscsi",
                boot_index=target.boot_index,
                volume_id=target.volume_id,
                properties=properties,
                extra=dict(target.extra),
            )
        )

    async def remove_target(self, target_id: str) -> None:
        """DELETE /v1/volume/targets/{id}."""
        await self.calls.remove(lambda ironic: ironic.volume_target.delete(target_id))

    async def vifs(self, node_id: str) -> list[str]:
        """GET /v1/nodes/{id}/vifs."""
        found = await self.calls.read(lambda ironic: ironic.node.vif_list(node_id))
        return [str(one.id) for one in found]

    async def attach_vif(self, node_id: str, port_id: str) -> None:
        """POST /v1/nodes/{id}/vifs."""
        await self.calls.change(lambda ironic: ironic.node.vif_attach(node_id, port_id))

    async def detach_vif(self, node_id: str, port_id: str) -> None:
        """DELETE /v1/nodes/{id}/vifs/{port}."""
        await self.calls.remove(lambda ironic: ironic.node.vif_detach(node_id, port_id))

    async def provision(self, node_id: str, verb: Verb) -> None:
        """PUT /v1/nodes/{id}/states/provision."""
        await self.calls.change(lambda ironic: ironic.node.set_provision_state(node_id, verb.value))

    async def power(self, node_id: str, power: Power, *, within: int | None = None) -> None:
        """PUT /v1/nodes/{id}/states/power."""
        await self.calls.change(
            lambda ironic: ironic.node.set_power_state(node_id, power.value, timeout=within)
        )

    async def set_maintenance(self, node_id: str, reason: str | None) -> None:
        """PUT or DELETE /v1/nodes/{id}/maintenance."""
        on = reason is not None
        await self.calls.change(
            lambda ironic: ironic.node.set_maintenance(node_id, on, maint_reason=reason)
        )
