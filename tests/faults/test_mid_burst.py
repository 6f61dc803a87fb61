"""The scenario that other tools are known for: killed -9 in mid-burst of twenty, back after 3 s.

For scale, Nodepool's launcher under the same: 40 servers made, 11 leaked for 153 s, done after
110 s.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import evidence
from tests.faults.plan import QUOTAS, Ending, Plan
from tests.faults.report import Report
from tests.faults.run import LONGEST_TEST, run
from tests.faults.schedule import Fault, Kind
from tests.faults.watch import Watch
from tests.faults.world import World

#: Nearly all are accepted, and their servers are about to be made.
MID_BURST = 0.36
SECONDS = 3
#: How many of twenty servers may be made a second time, of which the first one's answer was lost.
FEW = 2


@pytest.mark.timeout(LONGEST_TEST)
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("process", ["scheduler", "vm_worker"])
async def test_killed_in_mid_burst_of_twenty(
    world: World, report: Report, kept: Path, process: str
) -> None:
    """Twenty VMs are asked for, the process dies and comes back: twenty are active, no more.

    Of what was under way when it died, a few servers may be made twice, for a while.
    """
    plans = [
        Plan(
            f"mid-burst-{process}-{tenant}-{n}", tenant, Ending.KEEP, floating_ip=False, twice=False
        )
        for tenant, quota in QUOTAS.items()
        for n in range(quota["vms"])
    ]
    faults = [Fault(MID_BURST, Kind.KILL, process, SECONDS)]
    watch = Watch(lambda: evidence.held(world))
    with report.record(f"{process} in mid-burst", kept, faults) as result:
        async with watch.looking():
            await run(world, plans, result)
    report.notes.append(
        f"{process} killed in mid-burst of {len(plans)}: {result.servers_made} servers made, "
        f"{watch.most} too many at most, for {watch.doubled:.0f} s; all ready after "
        f"{result.ready:.0f} s (Nodepool: 40 made, 11 leaked for 153 s, done after 110 s)"
    )
    told = result.told()
    assert not result.findings, told
    assert result.phases == {"active": len(plans)}, told
    assert len(plans) == result.servers_wanted, told
    assert result.servers_made <= len(plans) + FEW, told
    assert watch.blind < watch.seconds / 2, f"it saw nothing for {watch.blind:.0f} s\n{told}"
    assert watch.most <= FEW, told
    assert watch.now == 0, told
