"""A burst of twenty while everything is killed, paused and cut off: 0 lost, doubled, leaked, stuck.

The seed alone decides what is asked and what goes wrong when; ``make faults SEED=17`` plays it
again. ``COLOBUS_FAULT_SEEDS`` names the seeds (``17`` or ``1-10``), ``COLOBUS_FAULT_BURST`` the
requests of the two tenants (``12,8``).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.plan import VM_SHARE, plans, share_of
from tests.faults.report import Report
from tests.faults.run import LONGEST_TEST, run
from tests.faults.schedule import losers, schedule
from tests.faults.world import World

_FIRST, _, _LAST = os.environ.get("COLOBUS_FAULT_SEEDS", "1-10").partition("-")
SEEDS = range(int(_FIRST), int(_LAST or _FIRST) + 1)
BURST = share_of(VM_SHARE)


@pytest.mark.timeout(LONGEST_TEST)
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_lost_doubled_leaked_or_stuck(
    world: World, report: Report, kept: Path, seed: int
) -> None:
    """Whatever goes wrong under this seed, the census of all places agrees in the end."""
    faults = schedule(seed)
    (kept / "schedule.txt").write_text("\n".join(str(fault) for fault in faults))
    burst = plans(seed, nova_may_lose="nova" in losers(faults), share=BURST)
    with report.record(f"{seed}", kept, faults) as result:
        await run(world, burst, result)
    again = f"logs: {kept}\nagain: make faults SEED={seed}"
    assert not result.findings, f"{result.told()}\n{again}"
