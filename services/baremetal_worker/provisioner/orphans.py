"""What nobody needs any more, removed object by object, by order of the scheduler alone.

The order names a resource that has ended. Only what bears the marks of this installation and that
one resource is touched; a node that is still the resource's is given back with all that it has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.baremetal_worker.backend import Metal
from services.baremetal_worker.marks import Owner
from services.baremetal_worker.node_objects import Allocation, Connector, Target
from services.baremetal_worker.provisioner.belonging import is_of
from services.baremetal_worker.provisioner.kit import Kit
from services.baremetal_worker.provisioner.releases import release_node
from shared.contract.messages import RemoveOrphan
from shared.worker.command import Command
from shared.worker.errors import Refused

Found = Allocation | Connector | Target
Remove = Callable[[str], Awaitable[None]]
ALLOCATION, VOLUME_CONNECTOR, VOLUME_TARGET = "allocation", "volume_connector", "volume_target"


async def remove_orphan(metal: Metal, kit: Kit, command: Command[RemoveOrphan]) -> None:
    """Remove the object; that it is gone is fine.

    Raises `Refused` when it isn't this resource's, `TemporaryError` while its node is on the way.
    """
    order = command.message
    found, remove = await _find(metal, order)
    if found is None:
        return
    owner = kit.marks.owner_of(found.extra)
    if owner is None or owner.resource_id != order.resource_id:
        raise Refused(
            f"The {order.what} {order.object_id} does not bear the marks of {order.resource_id}"
            " of this installation."
        )
    node = None if found.node_id is None else await metal.node(found.node_id)
    if isinstance(found, Allocation) or (
        node is not None and await is_of(metal, kit.marks, node, owner.resource_id, None)
    ):
        await release_node(metal, kit, Owner(owner.tenant, owner.resource_id), found.node_id)
    else:
        await remove(found.id)


async def _find(metal: Metal, order: RemoveOrphan) -> tuple[Found | None, Remove]:
    if order.what == ALLOCATION:
        return await metal.allocation(order.object_id), metal.deallocate
    if order.what == VOLUME_TARGET:
        return await metal.target(order.object_id), metal.remove_target
    if order.what == VOLUME_CONNECTOR:
        return await metal.connector(order.object_id), metal.remove_connector
    raise Refused(f"A {order.what!r} is nothing that could be removed.")
