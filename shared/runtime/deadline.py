"""One shrinking budget of time that is passed down, so that every wait has a bound."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError


class DeadlineExpired(TemporaryError):
    """The time for this is over."""

    def __init__(self, detail: str = "the time for this is over") -> None:
        super().__init__(detail, reason=Reason.BACKEND_TIMEOUT)


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock, so that a step of the wall clock changes nothing."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the deadline ``seconds`` from now."""
        return cls(time.monotonic() + seconds)

    @classmethod
    def until(cls, moment: datetime) -> Self:
        """Return the deadline at ``moment`` (with time zone), such as an envelope's not_after."""
        return cls.after((moment - datetime.now(UTC)).total_seconds())

    def remaining(self, at_most: float | None = None) -> float:
        """Seconds left, never below 0, and not above ``at_most``."""
        left = max(0.0, self.at - time.monotonic())
        return left if at_most is None else min(left, at_most)

    @property
    def expired(self) -> bool:
        """Whether nothing is left."""
        return time.monotonic() >= self.at

    def check(self) -> None:
        """Raise `DeadlineExpired` when nothing is left."""
        if self.expired:
            raise DeadlineExpired
