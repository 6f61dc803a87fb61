"""The shrinking budget."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from shared.runtime.deadline import Deadline, DeadlineExpired
from shared.runtime.errors import TemporaryError


def test_time_is_left_before_and_none_after() -> None:
    """A deadline in the future lets things happen, one in the past doesn't."""
    ahead, over = Deadline.after(60), Deadline.after(-1)
    assert not ahead.expired
    assert 0 < ahead.remaining() <= 60
    ahead.check()
    assert over.expired
    assert over.remaining() == 0


def test_check_raises_something_temporary() -> None:
    """Running out of time says nothing of the next try."""
    with pytest.raises(DeadlineExpired) as raised:
        Deadline.after(0).check()
    assert isinstance(raised.value, TemporaryError)


def test_a_cap_bounds_a_single_wait() -> None:
    """The smaller of what is left and what one wait may take."""
    assert Deadline.after(60).remaining(at_most=5) == 5
    assert Deadline.after(-1).remaining(at_most=5) == 0


def test_a_moment_of_the_wall_clock_becomes_a_deadline() -> None:
    """Such as a command's not_after."""
    assert Deadline.until(datetime.now(UTC) - timedelta(seconds=1)).expired
    assert not Deadline.until(datetime.now(UTC) + timedelta(seconds=60)).expired


def test_deadlines_compare_by_their_moment() -> None:
    """Equal moments are equal deadlines."""
    now = time.monotonic()
    assert Deadline(now) == Deadline(now)
