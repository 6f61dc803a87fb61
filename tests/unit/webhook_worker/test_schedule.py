"""When a webhook is tried again."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.webhook_worker.schedule import (
    JITTER,
    MAX_RETRY_AFTER,
    delay_after,
    parse_retry_after,
)
from services.webhook_worker.settings import RETRY_SCHEDULE

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_the_default_schedule_tries_for_more_than_a_day_and_ever_less_often() -> None:
    """An endpoint that is down for a day still gets what it missed."""
    total = list(accumulate(RETRY_SCHEDULE))[-1]
    assert total * (1 - JITTER) > 86400
    assert list(RETRY_SCHEDULE) == sorted(RETRY_SCHEDULE)


@given(st.integers(1, 20), st.floats(0, 1, exclude_max=True))
def test_each_failed_try_waits_its_turn_of_the_schedule_and_the_last_gives_up(
    tries: int, chance: float
) -> None:
    """The wait is the schedule's, give or take the jitter; after all of them there is none."""
    delay = delay_after(tries, RETRY_SCHEDULE, None, lambda: chance)
    if tries > len(RETRY_SCHEDULE):
        assert delay is None
    else:
        assert delay == pytest.approx(RETRY_SCHEDULE[tries - 1], rel=JITTER + 1e-9)


@pytest.mark.parametrize(
    ("wish", "delay"),
    [(None, 10.0), (1.0, 10.0), (60.0, 60.0), (10 * MAX_RETRY_AFTER, MAX_RETRY_AFTER)],
)
def test_the_endpoints_wish_lengthens_the_wait_within_bounds(
    wish: float | None, delay: float
) -> None:
    """Retry-After is honoured, but neither shortens the wait nor stops deliveries for weeks."""
    assert delay_after(1, [10.0], wish, lambda: 0.5) == delay


def test_an_empty_schedule_means_a_single_try() -> None:
    """An operator can switch repeats off."""
    assert delay_after(1, [], 60.0, lambda: 0.5) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("9" * 65, None),
        ("Sun, 01 Mar 2026 12:01:00 GMT", 60.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 32 Mar 2026 11:00:00 GMT", None),
        ("Sun, 01 Mar 2026 12:01:00 +9999", None),
        (f"Sun, 01 Mar {'9' * 20} 12:01:00 GMT", None),
        (f"Sun, 01 Mar 2026 {'9' * 20}:01:00 GMT", None),
        (f"Sun, 01 Mar 2026 12:01:00 +{'9' * 20}", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    header: str | None, seconds: float | None
) -> None:
    """Both forms of RFC 9110 count; anything else is as if it were absent."""
    assert parse_retry_after(header, NOW) == seconds


@given(st.text(max_size=80))
def test_no_header_breaks_the_reading_of_it(header: str) -> None:
    """An endpoint can't harm us with a strange header."""
    wish = parse_retry_after(header, NOW)
    assert wish is None or wish >= 0
