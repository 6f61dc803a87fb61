"""A burst of stacks and clusters while all who make them are killed, paused and cut off.

0 lost, doubled, leaked, stuck, in Heat and Magnum, in what Heat makes, and on the clusters' host;
what has failed has failed by Heat's or Magnum's own word. As with VMs the seed alone decides:
``make faults SEED=2 OF=stacks`` plays it again, ``COLOBUS_FAULT_SEEDS`` names others.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.conftest import has_passed
from tests.faults.orchestration import PARTS as ORCHESTRATION
from tests.faults.orchestration import orchestration, settings
from tests.faults.plan import STACK_QUOTAS, stack_plans
from tests.faults.report import Report
from tests.faults.run import LONGEST_TEST, run
from tests.faults.schedule import STACKS, losers, schedule
from tests.faults.shared import Shared, shared
from tests.faults.world import PARTS, World, a_world, installed
from tests.support import devcloud
from tests.support.cloud import Cloud

_FIRST, _, _LAST = os.environ.get("COLOBUS_FAULT_SEEDS", f"1-{STACKS.row}").partition("-")
SEEDS = range(int(_FIRST), int(_LAST or _FIRST) + 1)


@asynccontextmanager
async def _made(folders: pytest.TempPathFactory) -> AsyncIterator[World]:
    """An installation with the workers of Heat and Magnum, behind cables."""
    environment, folder = devcloud.up(*PARTS, *ORCHESTRATION), folders.mktemp("stacks")
    extra = settings(folder)
    async with installed(environment, folder, STACK_QUOTAS, extra=extra) as colobus:
        cloud = Cloud(environment, colobus.name)
        with orchestration(environment, cloud) as works:
            async with a_world(environment, colobus, cloud, works) as world:
                yield world


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def orchestrated(
    report: Report, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shared[World]]:
    """One after the other, should a test fail."""
    async with shared(lambda: _made(tmp_path_factory), report.notes.append) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def world(
    request: pytest.FixtureRequest, orchestrated: Shared[World]
) -> AsyncIterator[World]:
    """All of it, running; what a test has failed in, no other one finds."""
    yield await orchestrated.get()
    if not has_passed(request):
        await orchestrated.abandon()


@pytest.mark.timeout(LONGEST_TEST)
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_stack_or_cluster_is_lost_doubled_leaked_or_stuck(
    world: World, report: Report, kept: Path, seed: int
) -> None:
    """Whatever goes wrong under this seed, the census of all places agrees in the end."""
    faults = schedule(seed, STACKS)
    (kept / "schedule.txt").write_text("\n".join(str(fault) for fault in faults))
    burst = stack_plans(seed, losers(faults))
    with report.record(f"stacks {seed}", kept, faults) as result:
        await run(world, burst, result)
    again = f"logs: {kept}\nagain: make faults SEED={seed} OF=stacks"
    assert not result.findings, f"{result.told()}\n{again}"
