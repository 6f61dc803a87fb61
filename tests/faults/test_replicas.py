"""Two replicas of each service and three brokers: any one may go, at any time.

Reads and writes go on meanwhile, by HTTP and by bus. Of the replicas the seed says which are killed
when: ``make faults SEED=2 OF=replicas`` plays it again, ``COLOBUS_FAULT_SEEDS`` names others.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.conftest import has_passed
from tests.faults.plan import PROBER, PROBER_QUOTA, QUOTAS, Ending, Plan
from tests.faults.probes import Ways, all_ways
from tests.faults.report import Report
from tests.faults.run import LONGEST_TEST, Result, run
from tests.faults.schedule import PAIRS, REPLICAS, Fault, Kind, schedule
from tests.faults.shared import Shared, shared
from tests.faults.world import World, a_world_of_pairs, installed
from tests.support.broker_cluster import BrokerCluster, Node, broker_cluster
from tests.support.cloud import Cloud
from tests.support.installation import SERVICES, service_of

_FIRST, _, _LAST = os.environ.get("COLOBUS_FAULT_SEEDS", "1").partition("-")
SEEDS = range(int(_FIRST), int(_LAST or _FIRST) + 1)
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(LONGEST_TEST)]

#: Nearly all are accepted, and their servers are about to be made.
MID_BURST = 0.3
#: How many servers of a burst may be made a second time, of which the first one's answer was lost:
#: by each fault that may lose any.
FEW = 2
#: So many more where a broker dies: what the workers had in hand goes to the others at once, who
#: may look for a server before Nova has it. Both worked on at most so many, of ten.
IN_HAND = 5
#: The bound of an outage, and none of speed: in seconds.
SECONDS_NOT_MINUTES = 30


@dataclass
class Pairs:
    """The brokers, and the world of two replicas each that stands on them."""

    brokers: BrokerCluster
    world: World

    async def abandon(self) -> None:
        """Whatever state they are in."""
        await self.world.abandon()


@asynccontextmanager
async def _made(
    environment: dict[str, str], folders: pytest.TempPathFactory
) -> AsyncIterator[Pairs]:
    """Three nodes, and on them an installation that knows all their addresses."""
    async with broker_cluster(folders.mktemp("brokers")) as brokers:
        first, here = brokers.amqp_urls.split(",")[0], brokers.management_url(brokers.nodes[0])
        where = {"DEVCLOUD_AMQP_URL": first, "DEVCLOUD_AMQP_MANAGEMENT_URL": here}
        with Cloud(environment, "nobody").project(PROBER) as project:
            async with installed(
                {**environment, **where},
                folders.mktemp("pairs"),
                {**QUOTAS, PROBER: PROBER_QUOTA},
                projects={PROBER: {"devcloud": project}},
            ) as colobus:
                for service in SERVICES:
                    url = colobus.environment(service)["COLOBUS_AMQP_URLS"]
                    variables = colobus.extra.setdefault(service, {})
                    variables["COLOBUS_AMQP_URLS"] = ",".join(_at_all_nodes(url, brokers))
                async with a_world_of_pairs(colobus, Cloud(environment, colobus.name)) as world:
                    yield Pairs(brokers, world)


def _at_all_nodes(url: str, brokers: BrokerCluster) -> list[str]:
    first = brokers.nodes[0]
    return [url.replace(f":{first.amqp}/", f":{node.amqp}/") for node in brokers.nodes]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def all_pairs(
    environment: dict[str, str], report: Report, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shared[Pairs]]:
    """One after the other, should a test fail."""
    async with shared(lambda: _made(environment, tmp_path_factory), report.notes.append) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def pairs(request: pytest.FixtureRequest, all_pairs: Shared[Pairs]) -> AsyncIterator[Pairs]:
    """All of it, running; what a test has failed in, no other one finds."""
    yield await all_pairs.get()
    if not has_passed(request):
        await all_pairs.abandon()


def _plans(name: str, bigtop: int, openlab: int) -> list[Plan]:
    return [
        Plan(f"{name}-{tenant}-{n}", tenant, Ending.KEEP, floating_ip=n < 2, twice=n % 2 == 0)
        for tenant, count in (("bigtop", bigtop), ("openlab", openlab))
        for n in range(count)
    ]


@asynccontextmanager
async def _all_ways(pairs: Pairs) -> AsyncIterator[Ways]:
    """Reads and writes while something goes wrong."""
    world = pairs.world
    urls = _at_all_nodes(world.colobus.amqp_url(PROBER), pairs.brokers)
    async with all_ways(world.url, world.colobus.tokens, urls) as ways:
        world.quiet = ways.quiet
        try:
            yield ways
        finally:
            world.quiet = nullcontext


def _judge(
    report: Report, name: str, result: Result, ways: Ways, wanted: int, doubles: int = FEW
) -> None:
    """All are active, hardly any server was made twice, and all ways were open all the while."""
    report.notes.append(f"{name}: {ways}; {result.servers_made} servers for {wanted}")
    told = result.told()
    assert not result.findings, told
    assert result.phases == {"active": wanted}, told
    assert result.servers_made <= wanted + doubles, told
    assert not ways.wrong(SECONDS_NOT_MINUTES), told


@pytest.mark.parametrize("seed", SEEDS)
async def test_replicas_die_at_any_time_and_nothing_is_done_twice(
    pairs: Pairs, report: Report, kept: Path, seed: int
) -> None:
    """Each of them once, and comes back some seconds later; never both of one service at once."""
    faults = schedule(seed, REPLICAS)
    (kept / "schedule.txt").write_text("\n".join(str(fault) for fault in faults))
    name = f"replicas {seed}"
    with report.record(name, kept, faults) as result:
        result.note(f"logs: {kept}; again: make faults SEED={seed} OF=replicas")
        async with _all_ways(pairs) as ways:
            await run(pairs.world, _plans(f"replicas-{seed}", 6, 4), result)
    workers = sum(service_of(fault.target) == "vm_worker" for fault in faults)
    _judge(report, name, result, ways, wanted=10, doubles=FEW * workers)


async def test_the_busiest_of_three_brokers_dies_and_nothing_is_lost(
    pairs: Pairs, report: Report, kept: Path
) -> None:
    """Publishers and consumers go on at the other two."""
    name = "one of three brokers is killed"
    faults = [Fault(MID_BURST, Kind.KILL, "the busiest broker", 5)]
    with report.record(name, kept, faults) as result:
        async with _all_ways(pairs) as ways:
            plans = _plans("broker", 6, 4)
            await run(pairs.world, plans, result, lambda *_: _killed_busiest(pairs.brokers))
    _judge(report, name, result, ways, wanted=10, doubles=IN_HAND)


@asynccontextmanager
async def _killed_busiest(brokers: BrokerCluster) -> AsyncIterator[None]:
    node = await brokers.busiest()
    brokers.kill(node)
    try:
        yield
    finally:
        brokers.spawn(node)
        await brokers.wait_ready(node)


@pytest.mark.timeout(2 * LONGEST_TEST)  # the last load may begin when all is restarted
async def test_a_rolling_restart_of_everything_under_load_loses_nothing(
    pairs: Pairs, report: Report, kept: Path
) -> None:
    """Each replica, each broker and PostgreSQL in turn, while VMs are made and deleted."""
    results: list[Result] = []
    async with _all_ways(pairs) as ways:
        rolling = asyncio.create_task(_roll(pairs))
        try:
            while not rolling.done() or not results:
                number = len(results)
                with report.record(f"rolling restart, load {number}", kept, []) as result:
                    await run(pairs.world, _plans(f"rolling-{number}", 3, 2), result)
                results.append(result)
                if result.findings:
                    break
            await rolling
        finally:
            rolling.cancel()
            await asyncio.gather(rolling, return_exceptions=True)
    for number, result in enumerate(results):
        _judge(report, f"rolling restart, load {number}", result, ways, wanted=5)


async def _roll(pairs: Pairs) -> None:
    colobus, supervisor = pairs.world.colobus, pairs.world.supervisor
    for process in PAIRS:
        await asyncio.to_thread(colobus.stop, process)
        colobus.spawn(process)
        await asyncio.to_thread(colobus.wait_ready, process)
    for node in pairs.brokers.nodes:
        await _restart(pairs.brokers, node)
    await asyncio.to_thread(supervisor.stop, "postgresql")
    await asyncio.to_thread(supervisor.start, "postgresql")


async def _restart(brokers: BrokerCluster, node: Node) -> None:
    await brokers.stop(node)
    brokers.spawn(node)
    await brokers.wait_ready(node)
