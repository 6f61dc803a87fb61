"""What a new resource refers to: others of the same tenant, which are there and not at their end.

Another tenant's id is answered as one that there never was. The scheduler, which decides, looks
again: what is found here may end on the way.
"""

from __future__ import annotations

from services.front_door import read_model
from services.front_door.context import FrontDoor
from services.front_door.faults import bad_fields
from services.front_door.request_store import RequestRow
from services.front_door.submission import Ask
from shared.contract.field_errors import pointer
from shared.contract.kinds import KINDS, references_of
from shared.contract.messages import RequestSubmitted
from shared.contract.problems import FieldError
from shared.contract.resources import TERMINAL_PHASES, Phase

#: What is in one of these is of no use to anything new: the scheduler would only let it fail.
_ENDING = TERMINAL_PHASES | {Phase.DEPROVISIONING}


async def accepted_before_or_found(
    parts: FrontDoor, ask: Ask, message: RequestSubmitted
) -> RequestRow | None:
    """See that all that ``message`` refers to is there, and that the broker has their creates.

    Raises `RequestFault` 422 that names each bad field, unless the same was accepted before, while
    they were there: then its row is returned.
    """
    references = references_of(message.kind, message.spec)
    found = [await _fault(parts, ask.tenant, message.kind, *item) for item in references.items()]
    if faults := [fault for fault in found if fault is not None]:
        before = await parts.submitter.accepted_before(ask)
        if before is None:
            raise bad_fields(faults)
        return before
    for resource_id in references.values():
        await parts.submitter.settle_create(resource_id)
    return None


async def _fault(
    parts: FrontDoor, tenant: str, kind: str, field: str, resource_id: str
) -> FieldError | None:
    what, at = KINDS[kind].references[field], pointer(field)
    shown = await read_model.find(parts.database, tenant, resource_id)
    if shown is None:
        return FieldError(detail=f"There is no such {what}.", pointer=at)
    if shown.phase in _ENDING:
        return FieldError(detail=f"This {what} is {shown.phase}.", pointer=at)
    return None
