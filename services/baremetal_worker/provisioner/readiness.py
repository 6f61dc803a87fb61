"""What of a node itself is set before a machine is deployed on it: nearly always nothing.

Ironic locks a node for each change, and a change costs as much as all reading for a machine.
"""

from __future__ import annotations

from services.baremetal_worker.backend import Metal
from services.baremetal_worker.node_objects import Node

_STORAGE = "external"


async def make_ready(metal: Metal, node: Node) -> None:
    """Have the node take its disk from outside; as it is enrolled it does."""
    if node.storage_interface != _STORAGE:
        await metal.change_node(node.id, {"/storage_interface": _STORAGE})
