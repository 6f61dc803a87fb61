"""Who goes first on a backend that is full."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ulid_transform import ulid_at_time

from shared.contract.codec import Envelope, envelope_for
from shared.contract.messages import DeprovisionVm
from shared.worker.command_worker import PATIENCE
from shared.worker.turns import HEAD_START, turn_of

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def of(subject: str, sent: float = 0.0, step: str | None = "server") -> Envelope:
    """A command that was sent so many seconds after now."""
    return envelope_for(
        DeprovisionVm(cloud="devcloud"),
        source="/test",
        subject=subject,
        tenant="bigtop",
        step=step,
        time=NOW + timedelta(seconds=sent),
    )


def born(seconds: float) -> str:
    """The id of a VM that was asked for so many seconds after now."""
    return f"vm-{ulid_at_time((NOW + timedelta(seconds=seconds)).timestamp())}".lower()


def test_the_next_step_of_an_older_one_goes_before_the_first_of_a_younger() -> None:
    """Though it was sent later."""
    older, younger = born(-3), born(-2)
    assert turn_of(of(older, 1)) < turn_of(of(younger, 0))


def test_those_of_one_moment_stay_together() -> None:
    """All steps of one, and then all of the other."""
    first, second = sorted([born(-1), born(-1)])
    turns = [turn_of(of(one, sent)) for one in (first, second) for sent in (0, 1)]
    assert turns == sorted(turns)


def test_what_is_asked_of_old_ones_does_not_keep_a_new_one_waiting_for_ever() -> None:
    """Who has waited for the head start is overtaken by none of them."""
    old, new = born(-86400), born(0)
    assert turn_of(of(old, HEAD_START - 1)) < turn_of(of(new, 0))
    assert turn_of(of(new, 0)) < turn_of(of(old, HEAD_START + 1))
    assert turn_of(of(old, 1)) < turn_of(of(old, 2))


def test_who_waits_is_not_overtaken_for_all_of_its_patience() -> None:
    """Else a command would be given back that has only waited for its turn."""
    assert HEAD_START < PATIENCE


def test_what_a_dead_one_has_left_has_no_head_start() -> None:
    """Nobody waits for its removal."""
    assert turn_of(of(born(-86400), step=None))[0] == NOW.timestamp()


@pytest.mark.parametrize("subject", ["vm_worker/devcloud", born(3600)], ids=["of many", "made up"])
def test_what_is_no_older_than_its_command_has_the_turn_of_that(subject: str) -> None:
    """What is about many; and an id that somebody has made up."""
    assert turn_of(of(subject)) == (NOW.timestamp(), subject)
