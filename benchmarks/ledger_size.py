"""What an event costs the scheduler with 100,000 resources in its ledger against 1,000: ≤ 1.5.

Two installations side by side, their ledgers filled with copies of a VM that went all the way: of
ten, nine are deleted and one is active, with the usage and the timers that belong to them. What is
measured is `chain`'s throughput on each, in turn; the ratio is of seconds per VM, large to small.
Inspections of the living are set to once an hour: they cost by the number of living VMs, not by
event.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import asyncpg

from benchmarks import chain
from benchmarks.driver import Chain
from benchmarks.figures import Figure, side_by_side
from benchmarks.world import World
from tests.support.installation import Installation

_RARELY = {"scheduler": {"COLOBUS_INSPECT_SLOW_SECONDS": "3600"}}
#: Copies of one active resource, in descending age; ids have the form of ours.
_COPY = """
INSERT INTO scheduler.resources
    (id, kind, tenant, phase, cloud, demand, inspection, state, created_at, updated_at)
SELECT copy.id, kind, tenant, copy.phase, cloud, demand,
       CASE copy.phase WHEN 'active' THEN 'slow' ELSE 'none' END,
       jsonb_set(jsonb_set(state, '{resource,id}', to_jsonb(copy.id)),
                 '{resource,status,phase}', to_jsonb(copy.phase)),
       created_at - make_interval(secs => copy.n), updated_at - make_interval(secs => copy.n)
FROM scheduler.resources AS original, (
    SELECT n, 'vm-' || lpad(n::text, 26, '0') AS id,
           CASE WHEN n % 10 = 0 THEN 'active' ELSE 'deleted' END AS phase
    FROM generate_series(1, $2::int) AS n) AS copy
WHERE original.id = $1
"""
_TIMERS = """
INSERT INTO scheduler.timers (resource_id, name, due_at)
SELECT id, 'lease', now() + interval '1 day' FROM scheduler.resources
WHERE phase = 'active' AND id LIKE 'vm-0000%'
"""


def run(world: World) -> list[Figure]:
    """Measure both ledgers in turn."""
    sizes = (world.size(100_000, 200), world.size(1_000, 100))
    count = world.size(200, 5)
    with ExitStack() as stack:
        large, small = (_filled(stack, world, size) for size in sizes)
        rounds = []
        for _ in range(world.rounds):
            rounds.append((_seconds(large, count), _seconds(small, count)))
    what = f"a VM's events with {sizes[0]:,} resources, against {sizes[1]:,}"
    return [side_by_side(what, rounds, "ms", at_most=1.5)]


def _filled(stack: ExitStack, world: World, size: int) -> Chain:
    colobus = stack.enter_context(world.colobus(_RARELY))
    ours = chain.started(colobus)
    chain.measure(ours, 5)
    asyncio.run(_fill(colobus, size))
    chain.measure(ours, 5)
    return ours


def _seconds(ours: Chain, count: int) -> float:
    return 1000 / chain.measure(ours, count).per_second


async def _fill(colobus: Installation, size: int) -> None:
    connection = await asyncpg.connect(str.__str__(colobus.admin.admin_database_dsn))
    try:
        original = await connection.fetchval(
            "SELECT id FROM scheduler.resources WHERE phase = 'active' LIMIT 1"
        )
        await connection.execute(_COPY, original, size)
        await connection.execute(_TIMERS)
        await connection.execute("ANALYZE scheduler.resources, scheduler.timers")
    finally:
        await connection.close()
