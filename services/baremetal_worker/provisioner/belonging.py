"""Whose a node is.

While it is reserved, its allocation's: that one has the resource's name and mark. Ironic takes it
off when it undeploys the node, however that ends. Then the node is known by what it still knows of
the resource's disk (its connector goes last of all), and by the mark that one bears which resists.
Nothing is written to a node for that: Ironic locks it for each change, which costs as much as all
else that is asked of it for a machine (decision 0051).
"""

from __future__ import annotations

from dataclasses import dataclass

from services.baremetal_worker.backend import Metal
from services.baremetal_worker.marks import Marks
from services.baremetal_worker.node_objects import Allocation, Connector, Node, Target
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.errors import NotFound, Refused


@dataclass(frozen=True)
class Disk:
    """What a node knows of a disk, or of several."""

    targets: tuple[Target, ...] = ()
    connectors: tuple[Connector, ...] = ()

    def __bool__(self) -> bool:
        """Whether it knows anything."""
        return bool(self.targets or self.connectors)

    def of(self, resource_id: str, marks: Marks) -> Disk:
        """Return the part of it that bears this resource's mark. Pure."""
        return Disk(
            tuple(one for one in self.targets if marks.are(resource_id, one.extra)),
            tuple(one for one in self.connectors if marks.are(resource_id, one.extra)),
        )


async def known_disk(metal: Metal, node_id: str) -> Disk:
    """Return all that a node knows."""
    return Disk(tuple(await metal.targets(node_id)), tuple(await metal.connectors(node_id)))


def is_reserved_by(node: Node, allocation_id: str | None) -> bool:
    """Tell whether a node is reserved, by this allocation. Pure."""
    return allocation_id is not None and node.instance_id == allocation_id


def is_left_of(node: Node, resource_id: str, marks: Marks, disk: Disk) -> bool:
    """Tell whether a node that nobody has reserved was the resource's last. Pure.

    ``disk`` is what it knows. A reservation is stronger than all that may be left from before.
    """
    if node.instance_id is not None:
        return False
    return bool(disk.of(resource_id, marks)) or marks.are(resource_id, node.extra)


async def own_allocation(metal: Metal, marks: Marks, resource_id: str) -> Allocation | None:
    """Return the resource's allocation; raises `Refused` where somebody else's has its name."""
    found = await metal.allocation(resource_id)
    if found is not None and not marks.are(resource_id, found.extra):
        raise Refused(f"There is an allocation {resource_id} that is not this installation's.")
    return found


async def is_of(
    metal: Metal, marks: Marks, node: Node, resource_id: str, allocation_id: str | None
) -> bool:
    """Tell whether a node is this resource's, reserved by the allocation that is known, or by one
    since, or only left by it.
    """
    if is_reserved_by(node, allocation_id):
        return True
    if node.instance_id is None:
        return is_left_of(node, resource_id, marks, await known_disk(metal, node.id))
    found = await own_allocation(metal, marks, resource_id)
    return found is not None and is_reserved_by(node, found.id)


async def own_node(
    metal: Metal, marks: Marks, node_id: str, resource_id: str, allocation_id: str | None
) -> Node:
    """Return the node that is reserved for the resource.

    Raises `NotFound` (removed_externally) where it isn't that (any more): another machine may get
    it any time.
    """
    node = await metal.node(node_id)
    if node is None:
        detail = f"There is no node {node_id}."
        raise NotFound(detail, reason=Reason.REMOVED_EXTERNALLY)
    reserved = node.instance_id is not None
    if not reserved or not await is_of(metal, marks, node, resource_id, allocation_id):
        detail = f"Node {node.name} is not reserved for {resource_id} any more."
        raise NotFound(detail, reason=Reason.REMOVED_EXTERNALLY)
    return node


def busy(node: Node, retry_after: float = 2) -> TemporaryError:
    """Ironic is at work on the node: the next attempt sees how that ended."""
    under_way = node.target_power_state or node.provision_state
    return TemporaryError(
        f"Node {node.name} is busy: {under_way}.", reason=Reason.IN_USE, retry_after=retry_after
    )
