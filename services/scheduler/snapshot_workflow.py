"""The one step of a snapshot: what its volume holds at that moment."""

from __future__ import annotations

from services.scheduler.definitions import Absorbed, StepDefinition
from services.scheduler.storage_sightings import WORKER, stored, volume_of
from shared.contract.messages import (
    RemoveSnapshot,
    SnapshotRemoved,
    SnapshotTaken,
    TakeSnapshot,
)


def _taken(event: SnapshotTaken) -> Absorbed:
    return Absorbed(
        handles={"rbd_snapshot": event.rbd_snapshot}, outputs={"size_bytes": event.size_bytes}
    )


SNAPSHOT_WORKFLOW = stored(
    "snapshot",
    StepDefinition(
        name="snapshot",
        worker=WORKER,
        make=lambda state: TakeSnapshot(store=state.place, volume=volume_of(state)),
        made_by={SnapshotTaken: _taken},
        undo=lambda state: RemoveSnapshot(store=state.place, volume=volume_of(state)),
        undone_by={SnapshotRemoved: lambda _: Absorbed()},
    ),
    holds={"rbd_snapshot": "rbd_snapshot"},
)
