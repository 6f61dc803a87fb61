"""Volumes, snapshots and attachments on their way through the workflow."""

from __future__ import annotations

from typing import Any

import pytest

from services.scheduler.state import Ending, Goal
from shared.contract.messages import (
    AttachVolume,
    DeprovisionVolume,
    DetachVolume,
    Message,
    ProvisionVolume,
    SnapshotRemoved,
    SnapshotTaken,
    StorageObserved,
    VolumeAttached,
    VolumeDeprovisioned,
    VolumeDetached,
    VolumeProvisioned,
)
from shared.contract.problems import Reason
from shared.contract.resources import Phase, Placement, StepState
from tests.unit.scheduler.walked import ULID, Walked

VOLUME = f"volume-{ULID}"
IQN = "iqn.2026-01.org.example:host"
SPECS: dict[str, dict[str, Any]] = {
    "volume": {"size_gib": 2},
    "snapshot": {"volume": VOLUME},
    "attachment": {"volume": VOLUME, "initiator_iqn": IQN},
}
MADE: dict[str, Message] = {
    "volume": VolumeProvisioned(rbd_image="colobus.test.bigtop.v", size_bytes=2 << 30),
    "snapshot": SnapshotTaken(rbd_snapshot="colobus.test.bigtop.v@s", size_bytes=2 << 30),
    "attachment": VolumeAttached(
        target_iqn="iqn.t",
        initiator_iqn="i",
        lun=1,
        portals=("127.0.0.1:3260",),
        chap_username="colobus",
    ),
}
UNMADE: dict[str, Message] = {
    "volume": VolumeDeprovisioned(),
    "snapshot": SnapshotRemoved(),
    "attachment": VolumeDetached(),
}
KINDS = list(SPECS)


class Stored(Walked):
    """One resource in a store, walked by hand."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind, SPECS[kind], Placement(store="ceph"))

    def see(self, **fields: Any) -> None:
        self.observe(StorageObserved, **fields)


def made(kind: str) -> Stored:
    stored = Stored(kind)
    stored.answer(MADE[kind])
    return stored


@pytest.mark.parametrize("kind", KINDS)
def test_one_command_makes_it_and_one_unmakes_it(kind: str) -> None:
    """Active as soon as the worker has proven it; deleted when nothing is left."""
    stored = made(kind)
    assert stored.phase() is Phase.ACTIVE
    (name,) = (held.handle or "" for held in stored.definition.holds.values())
    assert stored.state.handles[name]
    assert stored.state.place == "ceph"
    stored.delete()
    stored.answer(UNMADE[kind])
    assert stored.phase() is Phase.DELETED
    assert not stored.open


def test_the_commands_say_what_was_asked_for() -> None:
    """A volume's size or source, an attachment's volume and initiator, each on its store."""
    assert Stored("volume").command().message == ProvisionVolume(store="ceph", size_gib=2)
    attach = AttachVolume(store="ceph", volume=VOLUME, initiator_iqn=IQN)
    assert Stored("attachment").command().message == attach


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_store_does_not_show_any_more_is_told_and_kept(kind: str) -> None:
    """One look may have gone to the wrong pool; what a volume holds can't be made again."""
    stored = made(kind)
    stored.see(gone=True)
    status = stored.state.resource.status
    assert (status.phase, status.reason) == (Phase.ACTIVE, Reason.REMOVED_EXTERNALLY)
    assert not stored.open
    stored.see()
    assert stored.state.resource.status.reason is None
    stored.see(gone=True)
    stored.delete()
    stored.answer(UNMADE[kind])
    assert stored.phase() is Phase.DELETED


def test_a_volume_in_use_waits_with_the_words_of_who_holds_it() -> None:
    """Delete never gives up, and says why it waits."""
    stored = made("volume")
    stored.delete()
    stored.fail(Reason.IN_USE, retryable=True)
    status = stored.state.resource.status
    assert (status.phase, status.reason) == (Phase.DEPROVISIONING, Reason.IN_USE)
    assert status.message == "held by attachment-1"
    stored.ring("retry/volume")
    assert stored.command().message == DeprovisionVolume(store="ceph")


def test_a_gateway_that_forgot_an_attachment_is_told_again() -> None:
    """The resource stays active, says so, and is whole when the worker has answered."""
    stored = made("attachment")
    stored.see(offered=False)
    stored.see(offered=False)  # asked for once, however often it is seen
    status = stored.state.resource.status
    assert (status.phase, status.reason) == (Phase.ACTIVE, Reason.BACKEND_UNAVAILABLE)
    assert isinstance(stored.command().message, AttachVolume)
    stored.answer(MADE["attachment"])
    stored.see()
    status = stored.state.resource.status
    assert (status.phase, status.reason) == (Phase.ACTIVE, None)
    assert not stored.open


def test_an_attachment_that_is_deleted_while_it_is_mended_ends() -> None:
    """The open command is waited for, then undone."""
    stored = made("attachment")
    stored.see(offered=False)
    stored.delete()
    stored.answer(MADE["attachment"])
    assert isinstance(stored.command().message, DetachVolume)
    stored.answer(UNMADE["attachment"])
    assert stored.phase() is Phase.DELETED


def test_mending_that_fails_is_tried_again() -> None:
    """While the gateway is away the attachment stays active and says why."""
    stored = made("attachment")
    stored.see(offered=False)
    stored.fail(Reason.BACKEND_UNAVAILABLE, retryable=True)
    assert stored.phase() is Phase.ACTIVE
    assert stored.state.step("target").state is StepState.RETRYING
    stored.ring("retry/target")
    stored.answer(MADE["attachment"])
    assert stored.state.step("target").state is StepState.DONE


def test_mending_that_is_refused_ends_nothing() -> None:
    """Whatever the gateway says: what lives is tried again, not given up."""
    stored = made("attachment")
    stored.see(offered=False)
    stored.fail(Reason.BACKEND_REFUSED, retryable=False)
    assert stored.phase() is Phase.ACTIVE
    stored.ring("retry/target")
    stored.answer(MADE["attachment"])
    assert stored.state.step("target").state is StepState.DONE


def test_force_overtakes_a_detach_that_waits() -> None:
    """At once, not at the next try; and only when it was asked for."""
    stored = made("attachment")
    stored.delete()
    message = stored.command().message
    assert isinstance(message, DetachVolume)
    assert not message.force
    stored.fail(Reason.INITIATOR_LOGGED_IN, retryable=True)
    stored.delete()
    assert not stored.open
    stored.delete(force=True)
    message = stored.command().message
    assert isinstance(message, DetachVolume)
    assert message.force
    stored.delete(force=True)
    stored.answer(UNMADE["attachment"])
    assert stored.phase() is Phase.DELETED


def test_force_overtakes_the_undo_of_what_failed() -> None:
    """It waits for its initiator already: the stronger goal doesn't wait for the next try."""
    stored = made("attachment")
    failing = Ending(goal=Goal.FAIL, reason=Reason.DEADLINE_EXCEEDED)
    stored.end(failing)
    stored.fail(Reason.INITIATOR_LOGGED_IN, retryable=True)
    stored.delete(force=True)
    message = stored.command().message
    assert isinstance(message, DetachVolume)
    assert message.force


def test_a_store_without_the_volume_fails_the_attachment_for_good() -> None:
    """Not found here is not found: nothing is tried elsewhere."""
    stored = Stored("attachment")
    stored.fail(Reason.VOLUME_NOT_FOUND, retryable=False)
    stored.answer(UNMADE["attachment"])
    assert stored.phase() is Phase.FAILED
    assert stored.state.resource.status.reason is Reason.VOLUME_NOT_FOUND
