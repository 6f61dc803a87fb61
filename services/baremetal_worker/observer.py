"""What Ironic shows of our machines' nodes becomes `MachineObserved`: one list for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from services.baremetal_worker.backend import Metal, Metals
from services.baremetal_worker.marks import Marks
from services.baremetal_worker.node_objects import Allocation, Node
from services.baremetal_worker.provisioner.belonging import belongs
from shared.contract.messages import InspectMachines, MachineInspectionFailed, MachineObserved
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
        owned = await _owned(metal, marks, {one.resource_id: one.node_id for one in order.machines})
    except ColobusError as error:
        failed = MachineInspectionFailed(
            metal=order.metal,
            resource_ids=tuple(one.resource_id for one in order.machines),
            problem=error.problem(),
        )
        return [Observation(command.resource_id, command.tenant, failed)]
    return [
        Observation(
            one.resource_id, one.tenant, observation_of(observed_at, owned.get(one.resource_id))
        )
        for one in order.machines
    ]


async def _owned(metal: Metal, marks: Marks, asked: Mapping[str, str]) -> dict[str, Node]:
    """The nodes, of those asked for by {resource: node}, that are still the resources'."""
    nodes = {node.id: node for node in await metal.nodes()}
    if asked and not nodes:
        # Not that all are gone: so it looks to a user who has lost its role on the system.
        detail = f"Ironic shows no nodes at all, where {len(asked)} were asked for."
        raise BackendUnavailable(detail)
    there = {one: nodes[node_id] for one, node_id in asked.items() if node_id in nodes}
    owned = {one: node for one, node in there.items() if belongs(node, one, marks)}
    doubtful = [one for one in there.keys() - owned.keys() if there[one].instance_id]
    if doubtful:  # somebody has taken their marks off, or the nodes are others'
        allocations = _by_name(await metal.allocations())
        owned |= {
            one: there[one]
            for one in doubtful
            if belongs(there[one], one, marks, allocations.get(one))
        }
    return owned


def _by_name(allocations: Iterable[Allocation]) -> dict[str, Allocation]:
    return {one.name: one for one in allocations}
