"""The one step of a volume: the image in its store, blank or a copy; and how it grows."""

from __future__ import annotations

from services.scheduler.definitions import Absorbed, OperationDefinition, StepDefinition
from services.scheduler.state import ResourceState
from services.scheduler.storage_sightings import WORKER, stored
from shared.contract.messages import (
    DeprovisionVolume,
    GrowVolume,
    ProvisionVolume,
    VolumeDeprovisioned,
    VolumeGrown,
    VolumeProvisioned,
)
from shared.contract.resources import Operation


def _provision(state: ResourceState) -> ProvisionVolume:
    spec = state.resource.spec
    return ProvisionVolume(
        store=state.place,
        size_gib=spec.get("size_gib"),
        image=spec.get("image"),
        snapshot=spec.get("snapshot"),
    )


def _provisioned(event: VolumeProvisioned) -> Absorbed:
    return Absorbed(
        handles={"rbd_image": event.rbd_image}, outputs={"size_bytes": event.size_bytes}
    )


def _grow(state: ResourceState, operation: Operation) -> GrowVolume:
    assert operation.size_gib is not None, "a volume knows no other verb"
    return GrowVolume(store=state.place, operation_id=operation.id, size_gib=operation.size_gib)


def _grown(event: VolumeGrown) -> Absorbed:
    return Absorbed(outputs={"size_bytes": event.size_bytes})


VOLUME_WORKFLOW = stored(
    "volume",
    StepDefinition(
        name="volume",
        worker=WORKER,
        make=_provision,
        made_by={VolumeProvisioned: _provisioned},
        undo=lambda state: DeprovisionVolume(store=state.place),
        undone_by={VolumeDeprovisioned: lambda _: Absorbed()},
    ),
    holds={"rbd_image": "rbd_image"},
    operations=OperationDefinition(command=_grow, ended_by={VolumeGrown: _grown}),
)
