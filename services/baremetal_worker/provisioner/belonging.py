"""Whose a node is.

Its mark says so, or the allocation that is called like the resource. An allocation that is
another's is stronger than a mark: that one may be left from before.
"""

from __future__ import annotations

from services.baremetal_worker.backend import Metal
from services.baremetal_worker.marks import Marks
from services.baremetal_worker.node_objects import Allocation, Node
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.errors import NotFound, Refused


def belongs(
    node: Node, resource_id: str, marks: Marks, allocation: Allocation | None = None
) -> bool:
    """Tell whether a node is this resource's. Pure."""
    if allocation is not None and node.instance_id == allocation.id:
        return True
    owner = marks.owner_of(node.extra)
    return (
        owner is not None
        and owner.resource_id == resource_id
        and node.instance_id in (None, owner.allocation_id)
    )


async def own_allocation(metal: Metal, marks: Marks, resource_id: str) -> Allocation | None:
    """Return the resource's allocation; raises `Refused` where somebody else's has its name."""
    found = await metal.allocation(resource_id)
    if found is not None and not marks.are(resource_id, found.extra):
        raise Refused(f"There is an allocation {resource_id} that is not this installation's.")
    return found


async def is_of(metal: Metal, marks: Marks, node: Node, resource_id: str) -> bool:
    """Tell whether a node is this resource's, even if somebody has taken its mark off."""
    if belongs(node, resource_id, marks):
        return True
    if node.instance_id is None:
        return False
    return belongs(node, resource_id, marks, await own_allocation(metal, marks, resource_id))


async def own_node(metal: Metal, marks: Marks, node_id: str, resource_id: str) -> Node:
    """Return the resource's node; raises `NotFound` (removed_externally) where it isn't that."""
    node = await metal.node(node_id)
    if node is None:
        detail = f"There is no node {node_id}."
        raise NotFound(detail, reason=Reason.REMOVED_EXTERNALLY)
    if not await is_of(metal, marks, node, resource_id):
        raise not_reserved(node, resource_id)
    return node


def not_reserved(node: Node, resource_id: str) -> NotFound:
    """The node is not the resource's, or not any more."""
    detail = f"Node {node.name} is not reserved for {resource_id} any more."
    return NotFound(detail, reason=Reason.REMOVED_EXTERNALLY)


def busy(node: Node, retry_after: float = 2) -> TemporaryError:
    """Ironic is at work on the node: the next attempt sees how that ended."""
    under_way = node.target_power_state or node.provision_state
    return TemporaryError(
        f"Node {node.name} is busy: {under_way}.", reason=Reason.IN_USE, retry_after=retry_after
    )
