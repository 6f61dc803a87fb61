"""What of a node itself is set before a machine is deployed on it, all by one change.

It is there from the reservation on, so that deploying finds nothing to change: Ironic locks the
node for each change. Whoever reserved it may have been an earlier release, or somebody may have
changed it since: so deploying looks again.
"""

from __future__ import annotations

from typing import Any

from services.baremetal_worker.backend import Metal
from services.baremetal_worker.marks import PATH, Owner
from services.baremetal_worker.node_objects import Node
from services.baremetal_worker.provisioner.kit import Kit

_STORAGE = "external"


async def make_ready(
    metal: Metal, kit: Kit, node: Node, owner: Owner, machine_name: str | None
) -> None:
    """Have the node bear its owner's mark and name, and take its disk from outside."""
    fields = fields_to_set(kit, node, owner, machine_name)
    if fields:
        await metal.change_node(node.id, fields)


def fields_to_set(kit: Kit, node: Node, owner: Owner, machine_name: str | None) -> dict[str, Any]:
    """Return what is to be changed, by path. The mark comes before all that needs it. Pure."""
    fields: dict[str, Any] = {}
    if kit.marks.owner_of(node.extra) != owner:
        fields[PATH] = kit.marks.mark(owner)
    if node.display_name != machine_name:  # its own, or what an earlier machine has left
        fields["/instance_info/display_name"] = machine_name
    if node.storage_interface != _STORAGE:
        fields["/storage_interface"] = _STORAGE
    return fields
