"""Waiting for what isn't there yet."""

from __future__ import annotations

import pytest

from shared.runtime.errors import PermanentError, TemporaryError
from shared.runtime.patience import patiently


class Attempts:
    """Fails with these errors, one after the other, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.count = 0

    async def __call__(self) -> str:
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "connected"


async def test_what_passes_is_waited_for() -> None:
    """Refused connections and temporary errors are tried again."""
    attempts = Attempts(ConnectionRefusedError(), TemporaryError("not yet"))
    assert await patiently(attempts, 30, name="it") == "connected"
    assert attempts.count == 3


async def test_patience_ends_with_the_last_error() -> None:
    """After its time the real fault comes out."""
    attempts = Attempts(*[TemporaryError(f"{n}") for n in range(100)])
    with pytest.raises(TemporaryError):
        await patiently(attempts, 0.3, name="it")
    assert attempts.count > 1


async def test_what_does_not_pass_is_raised_at_once() -> None:
    """A wrong password isn't waited for."""
    attempts = Attempts(PermanentError("no"))
    with pytest.raises(PermanentError):
        await patiently(attempts, 30, name="it")
    assert attempts.count == 1
