"""What a metal holds of this installation: allocations, targets, connectors.

What is left on a node that is put aside is not told: it can't be taken away before its operator has
mended the node.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from services.baremetal_worker.backend import Metal, Metals
from services.baremetal_worker.marks import Marks
from services.baremetal_worker.node_objects import Allocation, Connector, Target
from services.baremetal_worker.provisioner.orphans import (
    ALLOCATION,
    VOLUME_CONNECTOR,
    VOLUME_TARGET,
)
from services.baremetal_worker.provisioner.taking_down import is_quarantined
from shared.contract.messages import Holding, TakeCensus
from shared.runtime.deadline import Deadline
from shared.worker.census import census_taken
from shared.worker.command import Command, Observation

#: How long a census may go on once it has started, in seconds; ``not_after`` is shorter: it only
#: says until when it is of use to start.
LIFE = 120.0


async def answer_census(
    metals: Metals, marks: Marks, command: Command[TakeCensus]
) -> list[Observation]:
    """Return the census in parts, all of them; raises when something could not be asked."""
    # Before the first question: what is listed was there then or later.
    taken_at = datetime.now(UTC)
    metal = metals.metal(command.message.place, Deadline.after(LIFE))
    return census_taken(command, taken_at, await take_census(metal, marks))


async def take_census(metal: Metal, marks: Marks) -> list[Holding]:
    """Return every allocation, target and connector of ours on one metal.

    Raises `TemporaryError` when one of them can't be asked: half a census would look like a loss.
    """
    allocations = await metal.allocations()
    targets, connectors = await metal.targets(), await metal.connectors()
    aside = {node.id for node in await metal.states() if is_quarantined(node)}
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
