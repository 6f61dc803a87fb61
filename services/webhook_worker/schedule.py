"""When to try again, and when not any more. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: Waits are this much longer or shorter by chance, so that an outage's end is no stampede.
JITTER = 0.1
#: No endpoint can put its messages off for longer than this, in seconds.
MAX_RETRY_AFTER = 86400.0


def delay_after(
    tries: int,
    schedule: Sequence[float],
    retry_after: float | None,
    random: Callable[[], float],
) -> float | None:
    """Return the seconds until the next try after ``tries`` failed ones; None: give up.

    ``retry_after`` (the endpoint's own wish, in seconds) lengthens the wait, never shortens it.
    ``random`` gives numbers in [0, 1).
    """
    if tries > len(schedule):
        return None
    wait = schedule[tries - 1] * (1 + JITTER * (2 * random() - 1))
    return max(wait, min(retry_after or 0.0, MAX_RETRY_AFTER))


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Read a Retry-After header (RFC 9110 §10.2.3: seconds or a date); None for anything else."""
    if text is None or len(text) > 64:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a year, an hour or a zone beyond all bounds
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())
