"""The time that the iscsi_worker takes for a volume of a golden image, large against small.

| | target |
|---|---|
| a copy of 100 GiB, sparse / a copy of 1 GiB | ≤ 1.5 |

A copy is a copy-on-write clone: it is proven by opening it and reading from it, and none of the
image is copied. Both images are on the same Ceph; the two take turns. Times are the handler's own,
without the bus, which costs the same for both.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, side_by_side
from benchmarks.world import World
from tests.integration.iscsi_worker.world import GIB, Replica, Volume, make_world
from tests.support import devcloud

SMALL, LARGE = 1, 100
#: Copies of each in a round: one alone takes some tens of milliseconds.
COPIES = 10


def run(world: World) -> list[Figure]:
    """Make copies of both, in turn."""
    environment = devcloud.up("ceph")
    with (
        tempfile.TemporaryDirectory(prefix="colobus-bench-") as folder,
        make_world(environment, Path(folder)) as store,
    ):
        small, large = (store.make_golden(size * GIB, b"golden") for size in (SMALL, LARGE))

        async def measure() -> list[tuple[float, float]]:
            async with store.replica() as replica:
                await _copy(replica, small)  # connects
                return [
                    (await _copies(replica, large, copies), await _copies(replica, small, copies))
                    for _ in range(world.rounds)
                ]

        copies = world.size(COPIES, 1)
        rounds = asyncio.run(measure())
    what = f"a copy of {LARGE} GiB / of {SMALL} GiB"
    return [side_by_side(what, rounds, "ms", at_most=1.5)]


async def _copies(replica: Replica, image: str, count: int) -> float:
    """Return the median time of a copy, in ms."""
    return median([await _copy(replica, image) for _ in range(count)])


async def _copy(replica: Replica, image: str) -> float:
    """Make a copy, and take it away unmeasured; return how long the making took, in ms."""
    volume = Volume(replica)
    began = time.perf_counter()
    await volume.provision(image=image)
    took = time.perf_counter() - began
    await volume.deprovision()
    return took * 1000
