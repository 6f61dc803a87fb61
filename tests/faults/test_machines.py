"""A burst of machines while all who make them are killed, paused and cut off.

0 lost, doubled, leaked, stuck, and no node in two hands. The machines are Ironic's fake hardware
with a double behind it (`devcloud.stand_ins.fake_machines`); all else is real. As with VMs the seed
alone decides: ``make faults SEED=2 OF=machines`` plays it again, ``COLOBUS_FAULT_SEEDS`` names
others. ``COLOBUS_FAULT_BURST=30,23`` has 53 machines asked for on fifty nodes.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.bare_metal import bare_metal
from tests.faults.conftest import has_passed
from tests.faults.plan import MACHINE_SHARE, machine_plans, machine_quotas, nodes_for, share_of
from tests.faults.report import Report
from tests.faults.run import LONGEST_TEST, run
from tests.faults.schedule import MACHINES, schedule
from tests.faults.shared import Shared, shared
from tests.faults.world import World, a_world, installed
from tests.support.cloud import Cloud

_FIRST, _, _LAST = os.environ.get("COLOBUS_FAULT_SEEDS", f"1-{MACHINES.row}").partition("-")
SEEDS = range(int(_FIRST), int(_LAST or _FIRST) + 1)
SHARE = share_of(MACHINE_SHARE)


@asynccontextmanager
async def _made(
    environment: dict[str, str], folders: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """An installation with a metal of its own, behind cables."""
    folder = folders.mktemp("metal")
    with bare_metal(folder, nodes_for(SHARE)) as metal:
        quotas = machine_quotas(SHARE)
        async with installed(environment, folder, quotas, **metal.places()) as colobus:
            metal.belongs_to(colobus)
            cloud = Cloud(environment, colobus.name)
            async with a_world(environment, colobus, cloud, metal) as world:
                yield world


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def metals(
    environment: dict[str, str], report: Report, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shared[World]]:
    """One after the other, should a test fail."""
    async with shared(lambda: _made(environment, tmp_path_factory), report.notes.append) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def world(request: pytest.FixtureRequest, metals: Shared[World]) -> AsyncIterator[World]:
    """All of it, running; what a test has failed in, no other one finds."""
    yield await metals.get()
    if not has_passed(request):
        await metals.abandon()


@pytest.mark.timeout(LONGEST_TEST)
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_machine_is_lost_doubled_leaked_or_stuck(
    world: World, report: Report, kept: Path, seed: int
) -> None:
    """Whatever goes wrong under this seed, the census of all places agrees in the end."""
    faults = schedule(seed, MACHINES)
    (kept / "schedule.txt").write_text("\n".join(str(fault) for fault in faults))
    with report.record(f"machines {seed}", kept, faults) as result:
        await run(world, machine_plans(seed, share=SHARE), result)
    again = f"logs: {kept}\nagain: make faults SEED={seed} OF=machines"
    assert not result.findings, f"{result.told()}\n{again}"
