"""The one step of a snapshot: what its volume holds at that moment."""

from __future__ import annotations

from services.scheduler.definitions import Absorbed, StepDefinition, WorkflowDefinition
from services.scheduler.storage_sightings import (
    WORKER,
    condition,
    inspect,
    is_about,
    outputs_of,
    volume_of,
)
from shared.contract.messages import (
    RemoveSnapshot,
    SnapshotRemoved,
    SnapshotTaken,
    StorageObserved,
    TakeSnapshot,
)


def _taken(event: SnapshotTaken) -> Absorbed:
    return Absorbed(
        handles={"rbd_snapshot": event.rbd_snapshot}, outputs={"size_bytes": event.size_bytes}
    )


SNAPSHOT_WORKFLOW = WorkflowDefinition(
    kind="snapshot",
    steps=(
        StepDefinition(
            name="snapshot",
            worker=WORKER,
            make=lambda state: TakeSnapshot(store=state.place, volume=volume_of(state)),
            made_by={SnapshotTaken: _taken},
            undo=lambda state: RemoveSnapshot(store=state.place, volume=volume_of(state)),
            undone_by={SnapshotRemoved: lambda _: Absorbed()},
        ),
    ),
    observation=StorageObserved,
    is_about=is_about,
    outputs=outputs_of,
    condition=condition,
    worker=WORKER,
    inspect=inspect,
    holds={"rbd_snapshot": "rbd_snapshot"},
)
