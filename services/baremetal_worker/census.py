"""What a metal holds of this installation: allocations, targets, connectors; and what it has.

What is left on a node that is put aside is not told: it can't be taken away before its operator has
mended the node.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime

from services.baremetal_worker.backend import Metal, Metals
from services.baremetal_worker.marks import Marks
from services.baremetal_worker.node_inventory import capacities_of
from services.baremetal_worker.node_objects import Allocation, Connector, Node, Target
from services.baremetal_worker.provisioner.orphans import (
    ALLOCATION,
    VOLUME_CONNECTOR,
    VOLUME_TARGET,
)
from services.baremetal_worker.provisioner.taking_down import is_quarantined
from shared.contract.messages import Holding, NodeInventoryTaken, TakeCensus
from shared.runtime.deadline import Deadline
from shared.worker.census import census_taken
from shared.worker.command import Command, Observation

#: How long a census may go on once it has started, in seconds; ``not_after`` is shorter: it only
#: says until when it is of use to start.
LIFE = 120.0


async def answer_census(
    metals: Metals, marks: Marks, command: Command[TakeCensus]
) -> list[Observation]:
    """Return the census in parts, all of them, and the inventory of a metal that shows nodes.

    Raises `TemporaryError` when something could not be asked.
    """
    # Before the first question: what is listed was there then or later.
    taken_at = datetime.now(UTC)
    metal = metals.metal(command.message.place, Deadline.after(LIFE))
    nodes = await metal.nodes()
    holdings = census_taken(command, taken_at, await take_census(metal, marks, nodes))
    if not nodes:  # also what a user sees that has lost its role on the system
        return holdings
    capacities = capacities_of(metal.flavors, nodes)
    inventory = NodeInventoryTaken(metal=metal.name, taken_at=taken_at, capacities=capacities)
    return [Observation(command.resource_id, command.tenant, inventory), *holdings]


async def take_census(metal: Metal, marks: Marks, nodes: Iterable[Node]) -> list[Holding]:
    """Return every allocation, target and connector of ours on one metal, which has these nodes.

    Raises `TemporaryError` when one of them can't be asked: half a census would look like a loss.
    """
    allocations = await metal.allocations()
    targets, connectors = await metal.targets(), await metal.connectors()
    aside = {node.id for node in nodes if is_quarantined(node)}
    return [
        *_holdings(metal.name, marks, ALLOCATION, allocations, aside),
        *_holdings(metal.name, marks, VOLUME_TARGET, targets, aside),
        *_holdings(metal.name, marks, VOLUME_CONNECTOR, connectors, aside),
    ]


def _holdings(
    place: str,
    marks: Marks,
    what: str,
    found: Collection[Allocation] | Collection[Target] | Collection[Connector],
    aside: Collection[str],
) -> Iterator[Holding]:
    for one in found:
        owner = marks.owner_of(one.extra)
        if owner is not None and one.node_id not in aside:
            yield Holding(
                what=what,
                id=one.id,
                place=place,
                tenant=owner.tenant,
                resource_id=owner.resource_id,
                status=one.state if isinstance(one, Allocation) else None,
            )
