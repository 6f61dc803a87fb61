"""The floating IP of a VM: made on its port in one call, or not at all."""

from __future__ import annotations

from services.vm_worker.backend import Project
from services.vm_worker.cloud_objects import FloatingIp, Network, Taggable
from services.vm_worker.provisioner.kit import WORKER, Kit
from shared.contract.messages import AssociateFloatingIp, ReleaseFloatingIp
from shared.contract.problems import Reason
from shared.worker.command import Command
from shared.worker.duplicates import keep_first, oldest_first
from shared.worker.errors import Conflict, NotFound, Refused


async def associate_floating_ip(
    project: Project, kit: Kit, command: Command[AssociateFloatingIp]
) -> FloatingIp:
    """Return the VM's floating IP on its port, made when there is none yet."""
    if command.repeated:
        found = await _keep_one(project, kit, command)
        if found is not None:
            return found
    try:
        made = await _make(project, kit, command)
    except Conflict:  # the port has a floating IP already; is it ours?
        found = await _keep_one(project, kit, command)
        if found is None:
            raise
        return found
    if command.repeated:  # an earlier attempt may have come through meanwhile
        return await _keep_one(project, kit, command) or made
    return made


async def _make(project: Project, kit: Kit, command: Command[AssociateFloatingIp]) -> FloatingIp:
    """Try the external networks in turn: only Neutron knows which of them the port can reach."""
    refusal = Refused("The cloud has no external network.", reason=Reason.NETWORK_NOT_FOUND)
    for network in await _candidates(project, kit):
        try:
            return await project.network.create_floating_ip(
                network.id,
                command.message.port_id,
                description=kit.marks.description(command.resource_id),
                tags=kit.marks.tags(command.resource_id),
            )
        except NotFound as error:
            refusal = error
    project.network.forget()
    raise refusal


async def _candidates(project: Project, kit: Kit) -> list[Network]:
    networks = await project.network.external_networks()
    wanted = kit.external_network
    return [one for one in networks if wanted in (None, one.name, one.id)]


async def _own(project: Project, kit: Kit, resource_id: str) -> list[FloatingIp]:
    """The VM's floating IPs by description, which they have from their first moment on."""
    found = await project.network.floating_ips(description=kit.marks.description(resource_id))
    return [one for one in found if kit.marks.are_only(resource_id, one.tags, one.description)]


async def _keep_one(
    project: Project, kit: Kit, command: Command[AssociateFloatingIp]
) -> FloatingIp | None:
    """The VM's floating IP on its port; those of its that are elsewhere are of no use and go."""
    resource_id, port_id = command.resource_id, command.message.port_id
    found = await _own(project, kit, resource_id)
    ordered = oldest_first(found, lambda one: one.port_id != port_id)
    remove = project.network.delete_floating_ip
    kept = await keep_first(WORKER, "floating_ip", ordered, remove)
    if kept is not None and kept.port_id != port_id:
        await remove(kept.id)
        return None
    tags = kit.marks.tags(resource_id)
    if kept is not None and not set(tags) <= set(kept.tags):
        await project.network.complete_tags(Taggable.FLOATING_IP, kept.id, tags)
    return kept


async def release_floating_ip(
    project: Project, kit: Kit, command: Command[ReleaseFloatingIp]
) -> None:
    """Delete the VM's floating IPs, found by what we wrote on them; somebody else's stay."""
    resource_id, floating_ip_id = command.resource_id, command.message.floating_ip_id
    found = await _own(project, kit, resource_id)
    if floating_ip_id is not None and all(one.id != floating_ip_id for one in found):
        named = await project.network.floating_ips(ids=[floating_ip_id])
        found += [one for one in named if kit.marks.owns(one.tags, resource_id)]
    for one in found:
        await project.network.delete_floating_ip(one.id)
