"""What nobody needs any more, removed object by object, by order of the scheduler alone.

The order names a resource that has ended. Only what is named as this installation's and that one
resource's is touched; what somebody holds stays, with the reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.iscsi_worker.backend import Store
from services.iscsi_worker.names import Owned
from services.iscsi_worker.provisioner.kit import Kit
from services.iscsi_worker.provisioner.snapshots import remove_snapshot
from services.iscsi_worker.provisioner.targets import remove_target
from services.iscsi_worker.provisioner.volumes import remove_image
from shared.contract.messages import RemoveOrphan
from shared.worker.errors import Refused

Remover = Callable[[Store, Kit, RemoveOrphan], Awaitable[None]]

RBD_IMAGE, RBD_SNAPSHOT, ISCSI_TARGET = "rbd_image", "rbd_snapshot", "iscsi_target"
CONFIG_IMAGE = "config_image"


async def remove_orphan(store: Store, kit: Kit, order: RemoveOrphan) -> None:
    """Remove the object; that it is gone is fine.

    Raises `Refused` when it isn't this resource's, `TemporaryError` when it is in use.
    """
    remover = REMOVERS.get(order.what)
    if remover is None:
        raise Refused(f"A {order.what!r} is nothing that could be removed.")
    await remover(store, kit, order)


async def _remove_image(store: Store, kit: Kit, order: RemoveOrphan) -> None:
    _check(kit.names.owner_of_image(order.object_id), order)
    await remove_image(store, kit, order.object_id)


async def _remove_config_image(store: Store, kit: Kit, order: RemoveOrphan) -> None:
    _check(kit.names.owner_of_config_image(order.object_id), order)
    await remove_image(store, kit, order.object_id)


async def _remove_snapshot(store: Store, kit: Kit, order: RemoveOrphan) -> None:
    _check(kit.names.owner_of_snapshot(order.object_id), order)
    image, _, snapshot = order.object_id.partition("@")
    await remove_snapshot(store, kit, image, snapshot)


async def _remove_target(store: Store, kit: Kit, order: RemoveOrphan) -> None:
    _check(kit.names.owner_of_target(order.object_id), order)
    await remove_target(store, kit, order.object_id, [])


def _check(owner: Owned | None, order: RemoveOrphan) -> None:
    if owner is None or owner.resource_id != order.resource_id:
        raise Refused(
            f"The {order.what} {order.object_id} is not named as {order.resource_id}'s"
            " of this installation."
        )


REMOVERS: dict[str, Remover] = {
    RBD_IMAGE: _remove_image,
    CONFIG_IMAGE: _remove_config_image,
    RBD_SNAPSHOT: _remove_snapshot,
    ISCSI_TARGET: _remove_target,
}
