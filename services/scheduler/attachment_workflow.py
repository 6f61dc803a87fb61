"""The one step of an attachment: the volume on a target of its own, for one initiator."""

from __future__ import annotations

from services.scheduler.definitions import Absorbed, StepDefinition
from services.scheduler.state import ResourceState
from services.scheduler.storage_sightings import WORKER, stored, volume_of
from shared.contract.messages import (
    AttachVolume,
    DetachVolume,
    StorageObserved,
    VolumeAttached,
    VolumeDetached,
)

STEP = "target"


def _attach(state: ResourceState) -> AttachVolume:
    return AttachVolume(
        store=state.place,
        volume=volume_of(state),
        initiator_iqn=state.resource.spec.get("initiator_iqn"),
        machine=state.resource.spec.get("machine"),
    )


def _attached(event: VolumeAttached) -> Absorbed:
    return Absorbed(
        handles={"target_iqn": event.target_iqn},
        outputs={
            "target_iqn": event.target_iqn,
            "initiator_iqn": event.initiator_iqn,
            "lun": event.lun,
            "portals": list(event.portals),
            "chap_username": event.chap_username,
        },
    )


def _detach(state: ResourceState) -> DetachVolume:
    return DetachVolume(
        store=state.place,
        volume=volume_of(state),
        initiator_iqn=state.resource.spec.get("initiator_iqn"),
        machine=state.resource.spec.get("machine"),
        force=state.ending is not None and state.ending.force,
    )


def _mended_by(state: ResourceState, seen: StorageObserved) -> str | None:
    """A gateway that was restarted may have forgotten its targets; the volume is still there.

    A volume that has grown is offered anew when nobody is logged in, who would lose it.
    """
    del state
    stale = seen.outdated and not seen.initiators
    return STEP if (stale or not seen.offered) and not seen.gone else None


ATTACHMENT_WORKFLOW = stored(
    "attachment",
    StepDefinition(
        name=STEP,
        worker=WORKER,
        make=_attach,
        made_by={VolumeAttached: _attached},
        undo=_detach,
        undone_by={VolumeDetached: lambda _: Absorbed()},
    ),
    holds={"iscsi_target": "target_iqn"},
    mended_by=_mended_by,
)
