"""What follows from one look at Ironic's nodes."""

from __future__ import annotations

from typing import Any, cast

from services.baremetal_worker.backend import Metals
from services.baremetal_worker.marks import Marks
from services.baremetal_worker.node_objects import Node
from services.baremetal_worker.observer import inspect_machines
from shared.contract.codec import envelope_for
from shared.contract.messages import InspectMachines, MachineInspection, MachineInspectionFailed
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.worker.command import Command


class NoNodes:
    """An Ironic as it looks to a user who has lost its role on the system: 200, and nothing."""

    def metal(self, name: str, deadline: Deadline) -> Any:
        del name, deadline
        return self

    async def nodes(self) -> list[Node]:
        return []


async def test_an_ironic_that_shows_nothing_at_all_has_lost_no_machine() -> None:
    """What follows from a machine that is gone deletes its disk."""
    asked = MachineInspection(resource_id="machine-1", tenant="bigtop", node_id="n1")
    look = InspectMachines(metal="lab", machines=(asked,))
    envelope = envelope_for(look, source="/scheduler", subject="lab", tenant="colobus")
    command = Command(look, envelope, False, Deadline.after(60))
    metals = cast(Metals, NoNodes())
    (seen,) = await inspect_machines(metals, Marks("i1", "baremetal_worker"), command)
    assert isinstance(seen.message, MachineInspectionFailed)
    assert seen.message.resource_ids == ("machine-1",)
    assert seen.message.problem.reason == Reason.BACKEND_UNAVAILABLE
    assert "no nodes at all" in str(seen.message.problem.detail)
