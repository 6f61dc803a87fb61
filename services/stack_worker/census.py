"""What a cloud's Heat holds of this installation, tenant by tenant.

What a stack is made of is Heat's to keep and to remove: only stacks are named.
"""

from __future__ import annotations

from datetime import UTC, datetime

from services.stack_worker.backend import Backend
from services.stack_worker.provisioner import STACK
from shared.contract.messages import Holding, TakeCensus
from shared.runtime.deadline import Deadline
from shared.runtime.tenants import Tenants
from shared.worker.census import census_taken
from shared.worker.command import Command, Observation
from shared.worker.marks import Marks

#: How long a census may go on once it has started, in seconds; ``not_after`` is shorter: it only
#: says until when it is of use to start.
LIFE = 120.0


async def answer_census(
    backend: Backend, marks: Marks, tenants: Tenants, command: Command[TakeCensus]
) -> list[Observation]:
    """Return the census in parts, all of them; raises when something could not be asked."""
    place = command.message.place
    # Before the first question: what is listed was there then or later.
    taken_at = datetime.now(UTC)
    deadline = Deadline.after(LIFE)
    projects = [
        backend.project(place, tenant.name, deadline)
        for tenant in tenants
        if place in tenant.projects
    ]
    holdings = [
        Holding(
            what=STACK,
            id=stack.id,
            place=place,
            tenant=project.tenant,
            resource_id=marks.resource_of(stack.tags),
            name=stack.name,
            status=stack.status,
        )
        for project in projects
        for stack in await project.stacks(marks.installation)
    ]
    return census_taken(command, taken_at, holdings)
