"""Which stack is a resource's: its name, and marks that nobody else has put on it.

Heat's refusal of a second stack of one name is no lock: two creates at once may both pass. So
whoever has made one looks for twins, the first of them stays, and everybody removes the others.
"""

from __future__ import annotations

from services.stack_worker.backend import Project, Stack
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.errors import Conflict
from shared.worker.marks import Marks

_DELETING = "DELETE_"


def is_ours(marks: Marks, stack: Stack, resource_id: str, stack_id: str | None = None) -> bool:
    """Tell whether a stack is the resource's, beyond any doubt.

    A tenant's own update takes all tags off it: then the id that the ledger knows will do, as long
    as no tag names another installation or resource.
    """
    if stack.name != resource_id:
        return False
    known = stack.id == stack_id and not marks.name_another(resource_id, stack.tags)
    return known or marks.are_only(resource_id, stack.tags)


async def own_stacks(
    project: Project, marks: Marks, resource_id: str, stack_id: str | None = None
) -> list[Stack]:
    """Return the living stacks of the resource, the first one first: one, or twins.

    Raises `Conflict` when there is one of its name that is not ours.
    """
    found = await project.named(resource_id)
    for one in found:
        if not is_ours(marks, one, resource_id, stack_id):
            raise Conflict(f"The stack {one.name} in this project does not bear our marks.")
    return sorted(found, key=lambda one: (one.created_at, one.id))


async def standing(
    project: Project, marks: Marks, resource_id: str, stack_id: str | None = None
) -> Stack | None:
    """Return the stack of the resource, its twins removed; None: there is none.

    Raises `TemporaryError` while an earlier one is going.
    """
    found = await own_stacks(project, marks, resource_id, stack_id)
    living = [one for one in found if not one.status.startswith(_DELETING)]
    if found and not living:
        detail = "An earlier stack of this resource is still being removed."
        raise TemporaryError(detail, reason=Reason.BACKEND_REFUSED)
    for twin in living[1:]:
        await project.delete_stack(twin)
    return living[0] if living else None
