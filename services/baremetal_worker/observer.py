"""What Ironic shows of our machines' nodes becomes `MachineObserved`: one list for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from services.baremetal_worker.backend import Metal, Metals
from services.baremetal_worker.marks import Marks
from services.baremetal_worker.node_objects import Node, State
from services.baremetal_worker.provisioner.belonging import is_reserved_by
from shared.contract.messages import (
    InspectMachines,
    MachineInspection,
    MachineInspectionFailed,
    MachineObserved,
)
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable, ColobusError
from shared.worker.command import Command, Observation

#: How long an inspection may go on once it has started, in seconds; ``not_after`` is too short
#: for that: it only says until when it is of use to start.
LIFE = 45.0


def observation_of(observed_at: datetime, node: Node | None) -> MachineObserved:
    """Return what was seen of one machine; ``node`` of None: it has none any more. Pure."""
    if node is None:
        return MachineObserved(observed_at=observed_at, gone=True)
    in_maintenance = node.maintenance_reason or "no reason is given"
    return MachineObserved(
        observed_at=observed_at,
        node_name=node.name,
        provision_state=node.provision_state,
        power_state=node.power_state,
        target_power_state=node.target_power_state,
        maintenance=in_maintenance if node.maintenance else None,
        last_error=node.last_error or None,
    )


async def inspect_machines(
    metals: Metals, marks: Marks, command: Command[InspectMachines]
) -> list[Observation]:
    """Return one observation per machine, or one event that says why they could not be seen."""
    order = command.message
    # Before the question, not after the answer: what changes in between is not seen.
    observed_at = datetime.now(UTC)
    try:
        metal = metals.metal(order.metal, Deadline.after(LIFE))
        nodes = await _nodes(metal, marks, order.machines)
    except ColobusError as error:
        failed = MachineInspectionFailed(
            metal=order.metal,
            resource_ids=tuple(one.resource_id for one in order.machines),
            problem=error.problem(),
        )
        return [Observation(command.resource_id, command.tenant, failed)]
    return [
        Observation(
            one.resource_id, one.tenant, observation_of(observed_at, nodes.get(one.resource_id))
        )
        for one in order.machines
    ]


async def _nodes(metal: Metal, marks: Marks, asked: Sequence[MachineInspection]) -> dict[str, Node]:
    """{resource: its node}, where it is still the resource's."""
    nodes = {node.id: node for node in await metal.states()}
    if asked and not nodes:
        # Not that all are gone: so it looks to a user who has lost its role on the system.
        detail = f"Ironic shows no nodes at all, where {len(asked)} were asked for."
        raise BackendUnavailable(detail)
    there = {one.resource_id: nodes[one.node_id] for one in asked if one.node_id in nodes}
    reserved_by = {one.resource_id: one.allocation_id for one in asked}
    if any(_is_of_another(node, reserved_by[one]) for one, node in there.items()):
        # Or the resource's own, anew.
        own = (one for one in await metal.allocations() if marks.are(one.name, one.extra))
        reserved_by |= {one.name: one.id for one in own if one.name in there}
    return {one: node for one, node in there.items() if _is_seen(node, reserved_by[one])}


def _is_of_another(node: Node, allocation_id: str | None) -> bool:
    return node.instance_id is not None and not is_reserved_by(node, allocation_id)


def _is_seen(node: Node, allocation_id: str | None) -> bool:
    """One that Ironic still cleans is nobody else's yet; an available one is anybody's."""
    if node.instance_id is None:
        return node.provision_state != State.AVAILABLE
    return is_reserved_by(node, allocation_id)
