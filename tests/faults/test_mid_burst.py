"""The scenario that other tools are known for: killed -9 in mid-burst of twenty, back after 3 s.

For scale, Nodepool's launcher under the same: 40 servers made, 11 leaked for 153 s, done after
110 s.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults import evidence
from tests.faults.plan import QUOTAS, Ending, Plan
from tests.faults.report import Report
from tests.faults.run import LONGEST, run
from tests.faults.schedule import Fault, Kind
from tests.faults.world import World

#: Nearly all are accepted, and their servers are about to be made.
MID_BURST = 0.36
SECONDS = 3


class Watch:
    """Looks at the cloud all the while: how many servers there are beyond one per VM."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._looks: list[tuple[float, int]] = []

    async def look(self) -> None:
        """Look about once a second, for ever."""
        while True:
            held = await asyncio.to_thread(evidence.held, self._world)
            servers = Counter(one.resource_id for one in held if one.what == "server")
            self._looks.append((time.monotonic(), servers.total() - len(servers)))
            await asyncio.sleep(1)

    @property
    def most(self) -> int:
        """The most there were at once."""
        return max((extra for _, extra in self._looks), default=0)

    @property
    def seconds(self) -> float:
        """For how long there were any."""
        at = [moment for moment, extra in self._looks if extra]
        return at[-1] - at[0] + 1 if at else 0.0


@pytest.mark.timeout(LONGEST + 100)
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("process", ["scheduler", "vm_worker"])
async def test_killed_in_mid_burst_of_twenty(
    world: World, report: Report, kept: Path, process: str
) -> None:
    """Twenty VMs are asked for, the process dies and comes back: twenty are active, no more."""
    plans = [
        Plan(
            f"mid-burst-{process}-{tenant}-{n}", tenant, Ending.KEEP, floating_ip=False, twice=False
        )
        for tenant, quota in QUOTAS.items()
        for n in range(quota["vms"])
    ]
    watch = Watch(world)
    watching = asyncio.create_task(watch.look())
    faults = [Fault(MID_BURST, Kind.KILL, process, SECONDS)]
    try:
        with report.record(f"{process} in mid-burst", kept, faults) as result:
            await run(world, plans, result)
    finally:
        watching.cancel()
    report.notes.append(
        f"{process} killed in mid-burst of {len(plans)}: {result.servers_made} servers made, "
        f"{watch.most} too many at most, for {watch.seconds:.0f} s; all ready after "
        f"{result.ready:.0f} s (Nodepool: 40 made, 11 leaked for 153 s, done after 110 s)"
    )
    assert result.phases == {"active": len(plans)}
    assert not result.findings, "\n".join(result.findings)
