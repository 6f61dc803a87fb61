"""What nobody needs any more, removed object by object, by order of the scheduler alone.

The order names a resource that has ended (or that has another such object). Here each object is
looked at once more: only what bears our marks and that one resource's name is touched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.vm_worker.backend import Project
from services.vm_worker.cloud_objects import FloatingIp, Port
from services.vm_worker.provisioner.kit import Kit
from shared.contract.messages import RemoveOrphan
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.command import Command
from shared.worker.errors import Refused

Remover = Callable[[Project, Kit, RemoveOrphan], Awaitable[bool]]


async def remove_orphan(project: Project, kit: Kit, command: Command[RemoveOrphan]) -> bool:
    """Remove the object; False while it is still going.

    Raises `Refused` when it isn't this resource's, `TemporaryError` when it is in use.
    """
    remover = REMOVERS.get(command.message.what)
    if remover is None:
        raise Refused(f"A {command.message.what!r} is nothing that could be removed.")
    return await remover(project, kit, command.message)


async def _remove_server(project: Project, kit: Kit, order: RemoveOrphan) -> bool:
    found = await project.compute.server(order.object_id)
    if found is None:
        return True
    _check(kit.marks.are_only(order.resource_id, found.tags, metadata=found.metadata), order)
    kit.memory.forget("server", order.resource_id)
    # Though it may be going: Nova ignores that, unless the host has died over the first time.
    return not await project.compute.delete_server(found.id)


async def _remove_port(project: Project, kit: Kit, order: RemoveOrphan) -> bool:
    for found in await project.network.ports(ids=[order.object_id]):
        _check_network_object(kit, found, order)
        # Whosever the server is: a port is not pulled from under it.
        if found.device_id and await project.compute.server(found.device_id) is not None:
            detail = f"Port {found.id} is still in use by server {found.device_id}."
            raise TemporaryError(detail, reason=Reason.BACKEND_REFUSED)
        kit.memory.forget("port", order.resource_id)
        await project.network.delete_port(found.id)
    return True


async def _remove_floating_ip(project: Project, kit: Kit, order: RemoveOrphan) -> bool:
    for found in await project.network.floating_ips(ids=[order.object_id]):
        _check_network_object(kit, found, order)
        await project.network.delete_floating_ip(found.id)
    return True


def _check_network_object(kit: Kit, found: Port | FloatingIp, order: RemoveOrphan) -> None:
    _check(kit.marks.are_only(order.resource_id, found.tags, found.description), order)


def _check(ours: bool, order: RemoveOrphan) -> None:
    if not ours:
        raise Refused(
            f"The {order.what} {order.object_id} does not bear the marks of {order.resource_id},"
            " or not these alone."
        )


#: What can be removed. A tenant's network and router serve all its VMs: never.
REMOVERS: dict[str, Remover] = {
    "floating_ip": _remove_floating_ip,
    "server": _remove_server,
    "port": _remove_port,
}
