"""Rows that a loop can't handle: set aside, longer each time, so that all others go on.

What is wrong with one row (a state that can't be read, a step of another version) is wrong for
every replica. A loop that ended because of it would end in each of them, again and again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog

from services.scheduler.metrics import SET_ASIDE

#: How long a row is left alone, in seconds, after it failed once, twice, …; then always the last.
PAUSES = (1, 2, 5, 15, 60, 300)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Aside:
    failures: int
    until: float


class Setbacks:
    """Which rows have failed in ``loop``, as this process knows it. Times are monotonic."""

    def __init__(self, loop: str) -> None:
        self._loop = loop
        self._rows: dict[str, _Aside] = {}

    def note(self, row: str, error: Exception) -> float:
        """Tell and count that this row failed; returns for how long to leave it, in seconds."""
        now = time.monotonic()
        known = self._rows.get(row)
        failures = 1 if known is None else known.failures + 1
        seconds = PAUSES[min(failures, len(PAUSES)) - 1]
        self._forget(now - 2 * PAUSES[-1])
        self._rows[row] = _Aside(failures, now + seconds)
        SET_ASIDE.labels(self._loop).inc()
        log.error(
            "row set aside",
            loop=self._loop,
            row=row,
            failures=failures,
            seconds=seconds,
            exc_info=error,
        )
        return seconds

    def over(self, row: str) -> None:
        """It went well this time."""
        self._rows.pop(row, None)

    def aside(self, row: str) -> bool:
        """Tell whether it is still to be left alone."""
        known = self._rows.get(row)
        return known is not None and time.monotonic() < known.until

    def _forget(self, before: float) -> None:
        """Those that nobody has come across since."""
        for row in [row for row, known in self._rows.items() if known.until < before]:
            del self._rows[row]
