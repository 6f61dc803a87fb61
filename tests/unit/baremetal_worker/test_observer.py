"""What follows from one look at Ironic's nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from services.baremetal_worker.backend import Metals
from services.baremetal_worker.marks import Marks, Owner
from services.baremetal_worker.node_objects import Allocation, Node
from services.baremetal_worker.observer import inspect_machines
from shared.contract.codec import envelope_for
from shared.contract.messages import (
    InspectMachines,
    MachineInspection,
    MachineInspectionFailed,
    MachineObserved,
    Message,
)
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.worker.command import Command


@dataclass
class Lists:
    """An Ironic as far as its lists go; ``asked`` is how often for allocations."""

    shown: tuple[Node, ...] = ()
    reserved: tuple[Allocation, ...] = ()
    asked: int = 0

    def metal(self, name: str, deadline: Deadline) -> Any:
        del name, deadline
        return self

    async def states(self) -> list[Node]:
        return list(self.shown)

    async def allocations(self) -> list[Allocation]:
        self.asked += 1
        return list(self.reserved)


MARKS = Marks("i1", "baremetal_worker")


async def seen_in(ironic: Lists, allocation_id: str | None = "a1") -> Message:
    """What is told of machine-1 on node n1, reserved by a1 as far as is known."""
    asked = MachineInspection(
        resource_id="machine-1", tenant="bigtop", node_id="n1", allocation_id=allocation_id
    )
    look = InspectMachines(metal="lab", machines=(asked,))
    envelope = envelope_for(look, source="/scheduler", subject="lab", tenant="colobus")
    command = Command(look, envelope, False, Deadline.after(60))
    (seen,) = await inspect_machines(cast(Metals, ironic), MARKS, command)
    return seen.message


@pytest.mark.parametrize(
    ("provision_state", "instance_id", "is_seen"),
    [
        ("active", "a1", True),
        ("cleaning", None, True),  # nobody else gets it before that is over
        ("error", None, True),
        ("available", None, False),  # anybody may
        ("available", "a1", True),
        ("active", "a2", False),
        ("available", "a2", False),
    ],
)
async def test_a_node_is_seen_while_nobody_else_can_have_it(
    provision_state: str, instance_id: str | None, is_seen: bool
) -> None:
    """By its allocation; another's has nothing to do with the machine."""
    node = Node("n1", "metal-1", provision_state, instance_id=instance_id)
    ironic = Lists((node,))
    seen = await seen_in(ironic)
    assert isinstance(seen, MachineObserved)
    assert (not seen.gone, seen.provision_state) == (is_seen, provision_state if is_seen else None)
    assert ironic.asked == (instance_id == "a2")


@pytest.mark.parametrize("known", ["a1", None])
async def test_a_machine_that_was_reserved_anew_is_still_seen(known: str | None) -> None:
    """By its name, in a list that is only asked for then; a stranger's name counts for nothing."""
    node = Node("n1", "metal-1", "active", instance_id="a2")
    for marks in (MARKS, Marks("another", "baremetal_worker")):
        extra = marks.as_extra(Owner("bigtop", "machine-1"))
        ironic = Lists((node,), (Allocation("a2", "machine-1", "active", "n1", extra=extra),))
        seen = await seen_in(ironic, known)
        assert isinstance(seen, MachineObserved)
        assert seen.gone is (marks is not MARKS)


async def test_an_ironic_that_shows_nothing_at_all_has_lost_no_machine() -> None:
    """What follows from a machine that is gone deletes its disk."""
    seen = await seen_in(Lists())
    assert isinstance(seen, MachineInspectionFailed)
    assert seen.resource_ids == ("machine-1",)
    assert seen.problem.reason == Reason.BACKEND_UNAVAILABLE
    assert "no nodes at all" in str(seen.problem.detail)
