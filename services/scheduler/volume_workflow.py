"""The one step of a volume: the image in its store, blank or a copy."""

from __future__ import annotations

from services.scheduler.definitions import Absorbed, StepDefinition
from services.scheduler.state import ResourceState
from services.scheduler.storage_sightings import WORKER, stored
from shared.contract.messages import (
    DeprovisionVolume,
    ProvisionVolume,
    VolumeDeprovisioned,
    VolumeProvisioned,
)


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
)
