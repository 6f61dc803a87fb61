"""A node is reserved by an allocation called like the resource: Ironic chooses, and the name is
the lock. Whose the node is follows from that alone (`belonging`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from services.baremetal_worker.backend import Metal
from services.baremetal_worker.marks import Owner
from services.baremetal_worker.node_inventory import arch_trait
from services.baremetal_worker.node_objects import Allocation, NewAllocation, Node, State
from services.baremetal_worker.provisioner.belonging import own_allocation
from services.baremetal_worker.provisioner.kit import Kit
from services.baremetal_worker.provisioner.taking_down import is_quarantined
from shared.contract.messages import ReserveNode
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError, PermanentError, TemporaryError
from shared.worker.command import Command
from shared.worker.errors import Conflict, RefusedForNow

_ACTIVE, _ERROR = "active", "error"
#: Between the first two looks at an allocation in the making, and at most, in seconds. Each look
#: takes of Ironic what it needs to choose; one that was slow to take the order is asked later.
_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


async def reserve_node(
    metal: Metal, kit: Kit, command: Command[ReserveNode]
) -> tuple[Node, Allocation]:
    """Return the node that is the resource's, and the allocation by which it is.

    Raises `NotFound` (flavor_not_found), `PermanentError` (no_valid_host), `RefusedForNow`
    (no_free_node, node_maintenance), `TemporaryError` while Ironic has not chosen.
    """
    wanted = wanted_allocation(metal, kit, command)
    began = time.monotonic()
    allocation = await _ensured(metal, kit, wanted)
    node, allocation = await _chosen(metal, kit, allocation, time.monotonic() - began)
    if allocation.state == _ERROR:
        await metal.deallocate(allocation.id)  # else its name stays taken
        raise why_none(wanted, await metal.nodes(wanted.resource_class), words_of(allocation))
    if node is None:
        detail = f"Ironic has not chosen a node yet; the allocation is {allocation.state}."
        raise TemporaryError(detail, reason=Reason.IN_USE, retry_after=2)
    return node, allocation


def wanted_allocation(metal: Metal, kit: Kit, command: Command[ReserveNode]) -> NewAllocation:
    """Return what is to be reserved. Pure but for the metals file."""
    order = command.message
    flavor = metal.flavor(order.flavor)
    arch = {arch_trait(order.arch)} if order.arch else set()
    return NewAllocation(
        name=command.resource_id,
        resource_class=flavor.resource_class,
        traits=tuple(sorted({*flavor.traits, *arch})),
        extra=kit.marks.as_extra(Owner(command.tenant, command.resource_id, order.name)),
    )


async def _ensured(metal: Metal, kit: Kit, wanted: NewAllocation) -> Allocation:
    """Ask for it at once: its name is the lock, and hardly ever it is there already."""
    try:
        return await metal.allocate(wanted)
    except Conflict as error:
        found = await own_allocation(metal, kit.marks, wanted.name)
        if found is None:
            raise TemporaryError(error.detail, reason=Reason.IN_USE, retry_after=1) from error
    if found.state != _ERROR:
        return found
    await metal.deallocate(found.id)  # what was so then says nothing of now
    try:
        return await metal.allocate(wanted)
    except Conflict as error:  # somebody was faster
        raise TemporaryError(error.detail, reason=Reason.IN_USE, retry_after=1) from error


async def _chosen(
    metal: Metal, kit: Kit, allocation: Allocation, took: float
) -> tuple[Node | None, Allocation]:
    """Wait, within bounds, until Ironic has chosen or given up; it ``took`` so long to be asked.

    The node is looked for first: hardly ever it is not there by then.
    """
    patience = Deadline.after(metal.deadline.remaining(kit.reserve_seconds))
    pause = min(max(_PAUSE, took), _LONGEST_PAUSE)
    while allocation.state != _ERROR:
        if allocation.state != _ACTIVE:
            await asyncio.sleep(pause)
        node = await metal.reserved_node(allocation.id)
        if node is not None or patience.expired:
            return node, allocation
        pause = min(2 * pause, _LONGEST_PAUSE)
        found = await metal.allocation(allocation.id)
        if found is None or (allocation.state == found.state == _ACTIVE):
            detail = "The allocation, or its node, was taken away while Ironic chose one."
            raise TemporaryError(detail, reason=Reason.IN_USE, retry_after=1)
        allocation = found
    return None, allocation


def words_of(failed: Allocation) -> str:
    """Return Ironic's words without the allocation's id: other tenants' machines wait with them."""
    return failed.last_error.rpartition(f"{failed.id}: ")[2]


def why_none(wanted: NewAllocation, nodes: Sequence[Node], words: str) -> ColobusError:
    """Return why Ironic, in its ``words``, found no node among those of the class. Pure."""
    known = [
        node
        for node in nodes
        if node.provision_state != State.ENROLL and set(wanted.traits) <= node.traits
    ]
    usable = [node for node in known if not node.maintenance]
    if usable:
        detail = f"None of {len(usable)} such nodes is free. Ironic: {words}"
        return RefusedForNow(detail, reason=Reason.NO_FREE_NODE)
    if known:
        reasons = "; ".join(f"{one.name}: {_why(one)}" for one in known)
        detail = f"All such nodes are in maintenance ({reasons}). Ironic: {words}"
        return RefusedForNow(detail, reason=Reason.NODE_MAINTENANCE)
    return PermanentError(words, reason=Reason.NO_VALID_HOST)


def _why(node: Node) -> str:
    """Why a node is in maintenance; a quarantine's reason names whose machine it was."""
    return (
        "put aside by Colobus" if is_quarantined(node) else node.maintenance_reason or "no reason"
    )
