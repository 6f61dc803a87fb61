"""What a store shows of volumes, snapshots and attachments, and what it means. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.scheduler.definitions import Held, Inspection, StepDefinition, WorkflowDefinition
from services.scheduler.state import ResourceState
from shared.contract.messages import InspectStorage, StorageObserved, StoredThing
from shared.contract.problems import Reason

WORKER = "iscsi_worker"


def volume_of(state: ResourceState) -> str:
    """Return the id of the volume that a resource is, or is about."""
    return str(state.resource.spec.get("volume") or state.resource.id)


def inspect(store: str, states: Sequence[ResourceState]) -> InspectStorage:
    """Return the command that looks at all these."""
    things = (
        StoredThing(
            resource_id=state.resource.id,
            tenant=state.resource.tenant,
            volume=volume_of(state),
            initiator_iqn=state.resource.spec.get("initiator_iqn"),
            machine=state.resource.spec.get("machine"),
        )
        for state in states
    )
    return InspectStorage(store=store, things=tuple(things))


def is_about(state: ResourceState, seen: StorageObserved) -> bool:
    """Stores tell nothing by themselves; what was asked for is of this very resource."""
    del state, seen
    return True


def condition(state: ResourceState, seen: StorageObserved) -> tuple[Reason, str, bool] | None:
    """Return what is wrong with a living one, in words, and whether it is lost; None: nothing."""
    if seen.gone:
        # Not lost: what is in a volume can't be made again, and one look may have gone to the wrong
        # pool. Its owner is told and decides.
        return Reason.REMOVED_EXTERNALLY, f"{state.place} shows no such thing any more.", False
    if not seen.offered:
        return Reason.BACKEND_UNAVAILABLE, "The gateway had lost it; it is offered again.", False
    return None


def outputs_of(state: ResourceState, seen: StorageObserved) -> dict[str, Any]:
    """Return what a living one shows of itself: {output: value}."""
    del state
    return {} if seen.size_bytes is None else {"size_bytes": seen.size_bytes}


def stored(
    kind: str, step: StepDefinition, holds: Mapping[str, str], **more: Any
) -> WorkflowDefinition:
    """Return the workflow of a kind that one step makes, and whose resources are on stores.

    ``holds`` is {what: name of the handle that records it}.
    """
    return WorkflowDefinition(
        kind=kind,
        worker=WORKER,
        steps=(step,),
        inspections=(Inspection(WORKER, StorageObserved, inspect),),
        is_about=is_about,
        outputs=outputs_of,
        condition=condition,
        holds={what: Held(handle, WORKER) for what, handle in holds.items()},
        **more,
    )
