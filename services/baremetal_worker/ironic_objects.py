"""What python-ironicclient gives becomes what we know (`node_objects`). Pure."""

from __future__ import annotations

from typing import Any

from services.baremetal_worker.node_objects import Allocation, Connector, Node, Target

#: What shows how a node is.
STATE_FIELDS = (
    "uuid",
    "name",
    "provision_state",
    "power_state",
    "target_power_state",
    "instance_uuid",
    "maintenance",
    "maintenance_reason",
    "last_error",
)
#: What is asked of each node of a list.
NODE_FIELDS = (*STATE_FIELDS, "resource_class", "traits", "fault", "extra")
#: What else is asked of one alone.
MORE_FIELDS = ("storage_interface", "network_interface", "instance_info")


def node_of(found: Any) -> Node:
    """Read a node, with what was asked for of it."""
    return Node(
        id=found.uuid,
        name=found.name or found.uuid,
        provision_state=found.provision_state,
        power_state=found.power_state,
        target_power_state=found.target_power_state,
        resource_class=getattr(found, "resource_class", None),
        traits=frozenset(getattr(found, "traits", None) or ()),
        instance_id=found.instance_uuid,
        maintenance=bool(found.maintenance),
        maintenance_reason=found.maintenance_reason or "",
        fault=getattr(found, "fault", None),
        last_error=found.last_error or "",
        storage_interface=getattr(found, "storage_interface", None),
        network_interface=getattr(found, "network_interface", None),
        has_instance_info=bool(getattr(found, "instance_info", None)),
        extra=getattr(found, "extra", None) or {},
    )


def allocation_of(found: Any) -> Allocation:
    """Read an allocation."""
    return Allocation(
        id=found.uuid,
        name=found.name or "",
        state=found.state or "",
        node_id=found.node_uuid,
        last_error=found.last_error or "",
        extra=found.extra or {},
    )


def connector_of(found: Any) -> Connector:
    """Read a volume connector."""
    return Connector(
        id=found.uuid,
        node_id=found.node_uuid,
        initiator_iqn=found.connector_id,
        extra=found.extra or {},
    )


def target_of(found: Any) -> Target:
    """Read a volume target; the password in it is masked, and not looked at."""
    known = found.properties or {}
    return Target(
        id=found.uuid,
        node_id=found.node_uuid,
        volume_id=found.volume_id,
        boot_index=found.boot_index,
        iqn=known.get("target_iqn") or "",
        lun=known.get("target_lun"),
        portal=known.get("target_portal") or "",
        username=known.get("auth_username") or "",
        extra=found.extra or {},
    )
