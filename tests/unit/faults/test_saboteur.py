"""A fault strikes when its share of the burst is done, whatever was before the burst."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from tests.faults.burst import Progress
from tests.faults.run import Bring, Result, Saboteur
from tests.faults.schedule import Fault, Kind
from tests.faults.world import World

LATE = Fault(0.5, Kind.KILL, "the busiest broker", 0)


@pytest.mark.asyncio
async def test_a_fault_waits_for_its_share_and_is_mended_before_the_census() -> None:
    """Two VMs have twelve stages: nothing breaks before six are done."""
    result, progress, broken = Result([LATE]), Progress(2), asyncio.Event()
    saboteur = Saboteur(cast(World, None), result, progress, _bringing(broken))
    await progress.reach("vm-1", 4)
    await progress.reach("vm-2", 1)
    for _ in range(10):  # whatever could go on, does
        await asyncio.sleep(0)
    assert not broken.is_set()
    await progress.reach("vm-2", 2)
    await saboteur.mended(up_to=0.5)
    assert broken.is_set()
    assert ["begins" in result.journal[0], "mended" in result.journal[1]] == [True, True]


@pytest.mark.asyncio
async def test_of_two_replicas_one_is_there_all_along() -> None:
    """Both are due at once, as another service's is: that one is down beside the first of them."""
    faults = [Fault(0.5, Kind.KILL, who, 0) for who in ("scheduler", "scheduler.2", "vm_worker")]
    down: list[str] = []
    together: set[frozenset[str]] = set()

    @asynccontextmanager
    async def bring(_world: World, fault: Fault) -> AsyncIterator[None]:
        down.append(fault.target)
        together.add(frozenset(down))
        yield
        await asyncio.sleep(0)  # it takes a while to come back
        together.add(frozenset(down))
        down.remove(fault.target)

    progress = Progress(1)
    saboteur = Saboteur(cast(World, None), Result(faults), progress, bring)
    await progress.reach("vm-1", 3)
    await saboteur.mended(up_to=1)
    assert {"scheduler", "scheduler.2", "vm_worker"} == set[str]().union(*together)
    assert frozenset({"scheduler", "vm_worker"}) in together
    assert not any(down >= {"scheduler", "scheduler.2"} for down in together)


@pytest.mark.asyncio
async def test_what_could_not_be_mended_is_raised() -> None:
    """A part that doesn't come back ends the run, and isn't waited for."""
    progress = Progress(1)
    saboteur = Saboteur(cast(World, None), Result([LATE]), progress, _never_mended)
    await progress.reach("vm-1", 6)
    with pytest.raises(OSError, match="it does not start"):
        await saboteur.mended(up_to=1)
    await saboteur.stop()


def _bringing(broken: asyncio.Event) -> Bring:
    @asynccontextmanager
    async def bring(_world: World, _fault: Fault) -> AsyncIterator[None]:
        broken.set()
        yield

    return bring


@asynccontextmanager
async def _never_mended(_world: World, _fault: Fault) -> AsyncIterator[None]:
    yield
    raise OSError("it does not start")
