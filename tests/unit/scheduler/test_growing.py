"""A living volume grows: recorded as an operation, counted from its request, never smaller."""

from __future__ import annotations

import pytest

from services.scheduler import operations
from services.scheduler.growing import Room, demand
from shared.contract.messages import (
    AttachVolume,
    CommandFailed,
    GrowVolume,
    RequestSubmitted,
    VolumeDeprovisioned,
    VolumeGrown,
)
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Operation, OperationState, Phase, Verb
from tests.unit.scheduler.test_storage_workflows import Stored, made

GIB = 1 << 30
WIDE = Room(None, 0)


def grow(volume: Stored, size_gib: int, room: Room = WIDE, id: str | None = None) -> str:
    """Ask for it; return the operation's id."""
    operation_id = id or f"op-{len(volume.status.operations)}"
    asked = RequestSubmitted(
        verb=Verb.UPDATE,
        kind="volume",
        resource_id=volume.state.resource.id,
        operation_id=operation_id,
        spec={"size_gib": size_gib},
    )
    volume._take(operations.request(volume.state, volume.definition, volume.now, asked, room))
    return operation_id


def grown(volume: Stored, operation_id: str, size_gib: int) -> None:
    """The worker says so."""
    volume.answer(VolumeGrown(operation_id=operation_id, size_bytes=size_gib * GIB))


def operation(volume: Stored, operation_id: str) -> Operation:
    return next(one for one in volume.status.operations if one.id == operation_id)


def counted(volume: Stored) -> int:
    return demand(volume.state.resource)["volume_gib"]


def test_spec_and_outputs_have_the_new_size_when_it_is_done() -> None:
    """Not before; the phase stays."""
    volume = made("volume")
    asked = grow(volume, 5)
    message = volume.command().message
    assert message == GrowVolume(store="ceph", operation_id=asked, size_gib=5)
    assert operation(volume, asked).state is OperationState.RUNNING
    assert (volume.state.resource.spec["size_gib"], counted(volume)) == (2, 5)
    grown(volume, asked, 5)
    assert operation(volume, asked).state is OperationState.DONE
    assert volume.state.resource.spec["size_gib"] == 5
    assert volume.status.outputs["size_bytes"] == 5 * GIB
    assert (volume.phase(), counted(volume)) == (Phase.ACTIVE, 5)
    assert not volume.timers


def test_smaller_than_it_is_is_refused_with_what_is_expected() -> None:
    """The field and the least size are named; as large as it is changes nothing."""
    volume = made("volume")
    refused = grow(volume, 1)
    error = operation(volume, refused).error
    assert error is not None
    assert (error.reason, error.detail) == (
        Reason.SIZE_TOO_SMALL,
        "size_gib: A volume only grows: at least 2 is expected.",
    )
    assert not volume.open
    same = grow(volume, 2)
    grown(volume, same, 2)
    assert counted(volume) == 2


def test_beyond_the_quota_it_is_refused_with_the_numbers() -> None:
    """What it has already counts once."""
    volume = made("volume")
    refused = grow(volume, 9, Room(limit=10, used=4))
    error = operation(volume, refused).error
    assert error is not None
    assert (error.reason, error.retryable) == (Reason.QUOTA_EXCEEDED, True)
    assert error.detail == "4 of 10 volume_gib in use: 7 more are too many."
    assert (counted(volume), volume.open) == (2, [])
    assert operation(volume, grow(volume, 8, Room(10, 4))).state is OperationState.RUNNING


def test_what_fails_counts_no_more() -> None:
    """In the store's words."""
    volume = made("volume")
    asked = grow(volume, 5)
    volume.fail(Reason.VOLUME_NOT_FOUND, retryable=False, detail="Store ceph has no volume.")
    failed = operation(volume, asked)
    assert failed.state is OperationState.FAILED
    assert failed.error is not None
    assert failed.error.detail == "Store ceph has no volume."
    assert (counted(volume), volume.state.resource.spec["size_gib"]) == (2, 2)


def test_one_after_the_other_each_counted_from_its_request() -> None:
    """One that has become too small by the one before it fails; what was asked twice is one."""
    volume = made("volume")
    first, second, third = grow(volume, 6), grow(volume, 4), grow(volume, 8)
    assert grow(volume, 8, id=third) == third
    assert (len(volume.status.operations), counted(volume)) == (3, 8)
    grown(volume, first, 6)
    assert operation(volume, second).error is not None
    assert volume.command().message == GrowVolume(store="ceph", operation_id=third, size_gib=8)
    grown(volume, third, 8)
    assert (volume.state.resource.spec["size_gib"], counted(volume)) == (8, 8)


def test_a_delete_ends_what_was_still_to_grow() -> None:
    """The volume counts as before; what the worker says of it later changes nothing."""
    volume = made("volume")
    asked = grow(volume, 5)
    late = volume.command()
    volume.open.remove(late)
    volume.delete()
    assert operation(volume, asked).state is OperationState.FAILED
    assert counted(volume) == 2
    volume.open.insert(0, late)
    volume.answer(VolumeGrown(operation_id=asked, size_bytes=5 * GIB), "GrowVolume")
    assert volume.state.resource.spec["size_gib"] == 2
    volume.answer(VolumeDeprovisioned())
    assert volume.phase() is Phase.DELETED


@pytest.mark.parametrize("answered", [True, False])
def test_a_growth_is_given_up_only_when_its_command_is_answered(answered: bool) -> None:
    """While it may be growing it is not told as failed."""
    volume = made("volume")
    asked = grow(volume, 5)
    if answered:
        problem = Problem(title="x", detail="Ceph is away", reason=Reason.BACKEND_UNAVAILABLE)
        volume.answer(CommandFailed(command="GrowVolume", problem=problem, retryable=True))
    volume.ring(f"overdue/operation-{asked}")
    state = operation(volume, asked).state
    assert state is (OperationState.FAILED if answered else OperationState.RUNNING)
    if not answered:
        grown(volume, asked, 5)
        assert operation(volume, asked).state is OperationState.DONE


def test_a_growth_that_failed_unanswered_and_was_done_counts_when_it_is_seen() -> None:
    """The books follow the store; an operator's own resize is no growth of the tenant's."""
    volume = made("volume")
    grow(volume, 5)
    volume.fail(Reason.BACKEND_TIMEOUT, retryable=False)
    volume.see(size_bytes=3 * GIB)
    assert counted(volume) == 2
    volume.see(size_bytes=5 * GIB)
    assert (counted(volume), volume.state.resource.spec["size_gib"]) == (5, 5)


def test_before_it_is_active_there_is_nothing_to_grow() -> None:
    """As with every verb."""
    volume = Stored("volume")
    error = operation(volume, grow(volume, 5)).error
    assert error is not None
    assert error.reason == Reason.WRONG_PHASE
    assert counted(volume) == 2


def test_a_lun_of_before_the_growth_is_made_anew_when_nobody_is_logged_in() -> None:
    """Under somebody it would be pulled away."""
    attachment = made("attachment")
    attachment.see(outdated=True, initiators=("iqn.2026-01.org.example:host",))
    assert not attachment.open
    attachment.see(outdated=True)
    assert isinstance(attachment.command().message, AttachVolume)
    assert attachment.reason() is None
