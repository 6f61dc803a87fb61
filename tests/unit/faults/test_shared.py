"""A test that failed leaves nothing to the next one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.shared import Shared, shared


class Thing:
    """Counts what is done to it, and can refuse to go."""

    def __init__(self, log: list[str], *, stuck: bool = False) -> None:
        self._log, self._stuck = log, stuck

    async def abandon(self) -> None:
        self._log.append("abandoned")
        if self._stuck:
            raise OSError("stuck")


def _sharing(log: list[str], notes: list[str], *, stuck: bool = False) -> Shared[Thing]:
    @asynccontextmanager
    async def make() -> AsyncIterator[Thing]:
        log.append("made")
        try:
            yield Thing(log, stuck=stuck)
        finally:
            log.append("left")
            if stuck:
                raise OSError("still stuck")

    return Shared(make, notes.append)


@pytest.mark.asyncio
async def test_what_is_left_good_is_shared_to_the_end() -> None:
    """It is made once, when it is wanted first, and left once."""
    log: list[str] = []
    sharing = _sharing(log, [])
    assert log == []
    assert await sharing.get() is await sharing.get()
    await sharing.close()
    assert log == ["made", "left"]


@pytest.mark.asyncio
async def test_after_a_failure_it_is_made_anew() -> None:
    """The old one is given up before it is left."""
    log: list[str] = []
    sharing = _sharing(log, [])
    first = await sharing.get()
    await sharing.abandon()
    assert log == ["made", "abandoned", "left"]
    await sharing.abandon()  # there is none
    assert await sharing.get() is not first
    await sharing.close()
    assert log == ["made", "abandoned", "left", "made", "left"]


@pytest.mark.asyncio
async def test_what_cannot_be_cleared_away_is_told_and_hinders_nobody() -> None:
    """Of both: that it could not be given up, and that it could not be left."""
    notes: list[str] = []
    sharing = _sharing([], notes, stuck=True)
    first = await sharing.get()
    await sharing.abandon()
    assert ["OSError('stuck')" in notes[0], "OSError('still stuck')" in notes[1]] == [True, True]
    assert await sharing.get() is not first


@pytest.mark.asyncio
async def test_what_could_not_be_left_in_order_is_an_error() -> None:
    """Where all tests were good, so must be the end."""

    @asynccontextmanager
    async def make() -> AsyncIterator[Thing]:
        yield Thing([])
        raise AssertionError("the cloud still held servers")

    with pytest.raises(AssertionError, match="still held"):
        async with shared(make, lambda _: None) as sharing:
            await sharing.get()
