"""A node is given back clean: off, `available`, and knowing nothing of the machine."""

from __future__ import annotations

from contextlib import suppress

from services.baremetal_worker.backend import Metal
from services.baremetal_worker.marks import PATH, Owner
from services.baremetal_worker.node_objects import Allocation, Node, State, Verb
from services.baremetal_worker.provisioner.belonging import (
    Disk,
    busy,
    is_left_of,
    is_reserved_by,
    known_disk,
    own_allocation,
)
from services.baremetal_worker.provisioner.disks import forget_disk
from services.baremetal_worker.provisioner.kit import Kit
from services.baremetal_worker.provisioner.taking_down import (
    Down,
    may_try_again,
    quarantine_words,
    take_down,
)
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.errors import Refused


async def release_node(metal: Metal, kit: Kit, owner: Owner, node_id: str | None) -> str | None:
    """Give back what the resource has; return why a node is put aside rather than given back.

    Raises `TemporaryError` while it is on the way there.
    """
    allocation = await own_allocation(metal, kit.marks, owner.resource_id)
    reserved = None if allocation is None else allocation.node_id
    quarantined = None
    for one in dict.fromkeys(filter(None, (node_id, reserved))):
        quarantined = await _give_back(metal, kit, one, owner, allocation) or quarantined
    if allocation is not None:
        await metal.deallocate(allocation.id)
    return quarantined


async def _give_back(
    metal: Metal, kit: Kit, node_id: str, owner: Owner, allocation: Allocation | None
) -> str | None:
    node = await metal.node(node_id)
    if node is None:
        return None
    reserved = allocation is not None and is_reserved_by(node, allocation.id)
    disk, resource_id = await known_disk(metal, node.id), owner.resource_id
    if not reserved:  # of what another machine has by now only the resource's own goes
        disk = disk.of(resource_id, kit.marks)
        if not is_left_of(node, resource_id, kit.marks, disk):
            await _forget_what_can_be(metal, disk)
            return None
    progress = await take_down(metal, kit, node, owner)
    if progress is Down.GOING:
        raise busy(node, retry_after=5)
    if progress is Down.GIVEN_UP or not await _bring_back(metal, kit, node, owner):
        return await _put_aside(metal, node, disk.of(resource_id, kit.marks), resource_id)
    if reserved:
        await _let_go_of_ports(metal, node)
    await _unmark(metal, kit, node)
    await forget_disk(metal, disk)
    return None


async def _bring_back(metal: Metal, kit: Kit, node: Node, owner: Owner) -> bool:
    """True when it may be handed out again; False when it was put aside instead.

    Raises `TemporaryError` when it was only ordered on.
    """
    state = node.provision_state
    by_operator = node.maintenance and not node.fault
    if state == State.AVAILABLE or by_operator:
        return True
    if not await may_try_again(metal, kit, node, owner):
        return False
    if node.maintenance:  # Ironic's own, as after a cleaning that failed
        await metal.set_maintenance(node.id, None)
    verb = Verb.PROVIDE if state == State.MANAGEABLE else Verb.MANAGE
    await metal.provision(node.id, verb)
    raise busy(node)


async def _put_aside(metal: Metal, node: Node, disk: Disk, resource_id: str) -> str:
    """Take from a node that is put aside what can be taken; it may be on, or not answer."""
    await _forget_what_can_be(metal, disk)
    with suppress(Refused):
        if node.instance_id:
            await _let_go_of_ports(metal, node)
    found = await metal.node(node.id)
    return quarantine_words(found or node, resource_id) or node.last_error


async def _let_go_of_ports(metal: Metal, node: Node) -> None:
    for port_id in await metal.vifs(node.id) if node.has_networks else ():
        await metal.detach_vif(node.id, port_id)


async def _forget_what_can_be(metal: Metal, disk: Disk) -> None:
    """Take the resource's disk from a node that may be on, perhaps for somebody else by now.

    Ironic takes nothing from a node that is on. What stays is told by the census.
    """
    with suppress(Refused):
        try:
            await forget_disk(metal, disk)
        except TemporaryError as error:
            if error.reason != Reason.IN_USE:  # Ironic itself can't be asked
                raise


async def _unmark(metal: Metal, kit: Kit, node: Node) -> None:
    """Take off the mark of one that has resisted, and what somebody has told of the instance."""
    marked = kit.marks.owner_of(node.extra) is not None
    if not marked and not node.has_instance_info:
        return
    found = await metal.node(node.id)
    if found is None or found.instance_id != node.instance_id:
        return  # it has become another's since it was read
    changes: dict[str, None] = {}
    if found.has_instance_info:
        changes["/instance_info"] = None
    if kit.marks.owner_of(found.extra) is not None:
        changes[PATH] = None
    if changes:
        await metal.change_node(node.id, changes)
