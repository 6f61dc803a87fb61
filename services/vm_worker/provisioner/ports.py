"""The port of a VM: made before the server, so that Nova can serve it only once."""

from __future__ import annotations

from services.vm_worker.backend import Project
from services.vm_worker.cloud_objects import Network, NewPort, Port, Taggable
from services.vm_worker.provisioner.kit import WORKER, Kit, mac_address
from services.vm_worker.provisioner.servers import is_ours
from shared.contract.messages import PrepareVmPort, ReleaseVmPort
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.command import Command
from shared.worker.duplicates import keep_first, oldest_first
from shared.worker.errors import Conflict, NotFound

_MAC_IN_USE = "MacAddressInUse"


async def prepare_port(project: Project, kit: Kit, command: Command[PrepareVmPort]) -> Port:
    """Return the VM's port, made when there is none yet."""
    if command.repeated:
        found = await _keep_one(project, kit, command.resource_id)
        if found is not None:
            return found
    made = await _make(project, kit, command)
    if command.repeated:  # an earlier attempt may have come through meanwhile
        return await _keep_one(project, kit, command.resource_id) or made
    kit.memory.remember("port", command.resource_id, made.id)
    return made


async def _make(project: Project, kit: Kit, command: Command[PrepareVmPort]) -> Port:
    try:
        return await _make_once(project, kit, command)
    except NotFound as error:
        if not error.code:  # the name means nothing, now
            raise
        project.network.forget()  # it meant something else when we last asked
        kit.default_networks.forget(project)
        return await _make_once(project, kit, command)


async def _make_once(project: Project, kit: Kit, command: Command[PrepareVmPort]) -> Port:
    message, resource_id = command.message, command.resource_id
    network = await _network(project, kit, message.network)
    groups = message.security_groups
    group_ids = await project.network.security_group_ids(groups) if groups else None
    wanted = NewPort(
        network_id=network.id,
        name=resource_id,
        description=kit.marks.description(resource_id),
        tags=kit.marks.tags(resource_id),
        security_group_ids=group_ids,
        mac_address=mac_address(resource_id) if network.own else None,
    )
    try:
        return await project.network.create_port(wanted)
    except Conflict as error:
        if error.code != _MAC_IN_USE:
            raise
        found = await _keep_one(project, kit, resource_id)
    # A stranger's port with our address is next to impossible, and no reason to fail.
    return found or await project.network.create_port(_with_any_address(wanted))


async def _network(project: Project, kit: Kit, name_or_id: str | None) -> Network:
    if name_or_id is None:
        return await kit.default_networks.of(project)
    return await project.network.network(name_or_id)


def _with_any_address(port: NewPort) -> NewPort:
    return NewPort(
        network_id=port.network_id,
        name=port.name,
        description=port.description,
        tags=port.tags,
        security_group_ids=port.security_group_ids,
    )


async def _own(project: Project, kit: Kit, resource_id: str) -> list[Port]:
    """The VM's ports by name and description, which they have from their first moment on."""
    found = await project.network.ports(name=resource_id)
    return [one for one in found if kit.marks.are_only(resource_id, one.tags, one.description)]


async def _keep_one(project: Project, kit: Kit, resource_id: str) -> Port | None:
    ordered = oldest_first(await _own(project, kit, resource_id), lambda port: not port.device_id)
    kept = await keep_first(WORKER, "port", ordered, project.network.delete_port)
    tags = kit.marks.tags(resource_id)
    if kept is not None and not set(tags) <= set(kept.tags):
        await project.network.complete_tags(Taggable.PORT, kept.id, tags)
    return kept


async def release_port(project: Project, kit: Kit, command: Command[ReleaseVmPort]) -> None:
    """Delete the VM's port, and whatever else carries its name and marks.

    Raises `TemporaryError` while a server of ours is still on it.
    """
    resource_id, port_id = command.resource_id, command.message.port_id
    sure = not command.message.doubtful
    if sure and port_id and kit.memory.is_sure("port", resource_id, port_id):
        await project.network.delete_port(port_id)
        kit.memory.forget("port", resource_id)
        return
    for port in await _all_of(project, kit, resource_id, port_id):
        await _check_free(project, kit, port)
        await project.network.delete_port(port.id)


async def _all_of(project: Project, kit: Kit, resource_id: str, port_id: str | None) -> list[Port]:
    found = await _own(project, kit, resource_id)
    if port_id is None or any(port.id == port_id for port in found):
        return found
    named = await project.network.ports(ids=[port_id])  # somebody may have renamed it
    return [*found, *(port for port in named if kit.marks.owns(port.tags, resource_id))]


async def _check_free(project: Project, kit: Kit, port: Port) -> None:
    server = await project.compute.server(port.device_id) if port.device_id else None
    if server is not None and is_ours(kit.marks, server):
        detail = f"Port {port.id} is still in use by server {server.id}."
        raise TemporaryError(detail, reason=Reason.BACKEND_REFUSED)
