"""Two replicas of each service and three brokers: any one may go, at any time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.faults.plan import QUOTAS, Ending, Plan
from tests.faults.report import Report
from tests.faults.run import LONGEST, Result, run
from tests.faults.schedule import Fault, Kind
from tests.faults.world import PAIRS, World, a_world_of_pairs, leave_nothing
from tests.support.broker_cluster import BrokerCluster, Node, broker_cluster
from tests.support.cloud import Cloud
from tests.support.installation import SERVICES, Installation, installation

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(LONGEST + 100)]


#: All are accepted, and their servers are about to be made.
MID_BURST = 0.3


@dataclass
class Pairs:
    """The brokers, and the world of two replicas each that stands on them."""

    brokers: BrokerCluster
    world: World


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def brokers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BrokerCluster]:
    """Three nodes."""
    async with broker_cluster(tmp_path_factory.mktemp("brokers")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def installed(
    environment: dict[str, str], brokers: BrokerCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation on those brokers, which knows all their addresses."""
    first, here = brokers.amqp_urls.split(",")[0], brokers.management_url(brokers.nodes[0])
    where = {"DEVCLOUD_AMQP_URL": first, "DEVCLOUD_AMQP_MANAGEMENT_URL": here}
    folder = tmp_path_factory.mktemp("pairs")
    with installation({**environment, **where}, folder, QUOTAS) as made:
        for service in SERVICES:
            url = made.environment(service)["COLOBUS_AMQP_URLS"]
            urls = [url.replace(f":{brokers.nodes[0].amqp}/", f":{n.amqp}/") for n in brokers.nodes]
            made.extra.setdefault(service, {})["COLOBUS_AMQP_URLS"] = ",".join(urls)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pairs(
    environment: dict[str, str], brokers: BrokerCluster, installed: Installation
) -> AsyncIterator[Pairs]:
    """All of it, running."""
    cloud = Cloud(environment, installed.name)
    try:
        async with a_world_of_pairs(installed, cloud) as world:
            yield Pairs(brokers, world)
    finally:
        leave_nothing(cloud)


class Pause:
    """Asks the front doors all the time; ``longest`` is the longest time without an answer."""

    def __init__(self, world: World) -> None:
        self._url, self._token = world.url, world.colobus.tokens["bigtop"]
        self.longest = 0.0

    async def measure(self) -> None:
        """Ask some ten times a second, for ever, each time on a connection of its own."""
        headers = {"Authorization": f"Bearer {self._token}"}
        answered = time.monotonic()
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with (
                    aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                    session.get(f"{self._url}/v1/vms?limit=1", headers=headers) as answer,
                ):
                    if answer.status == 200:
                        self.longest = max(self.longest, time.monotonic() - answered)
                        answered = time.monotonic()
            await asyncio.sleep(0.1)


def _plans(name: str, bigtop: int, openlab: int) -> list[Plan]:
    return [
        Plan(f"{name}-{tenant}-{n}", tenant, Ending.KEEP, floating_ip=n < 2, twice=n % 2 == 0)
        for tenant, count in (("bigtop", bigtop), ("openlab", openlab))
        for n in range(count)
    ]


def _note(report: Report, name: str, pause: Pause) -> None:
    report.notes.append(f"{name}: no answer by HTTP for {pause.longest:.1f} s at most")


async def test_one_replica_of_each_dies_and_nothing_is_done_twice(
    pairs: Pairs, report: Report, kept: Path
) -> None:
    """At some point of the burst one of each pair is killed, and comes back only after it."""
    draw = random.Random("one of each pair")
    faults = [
        Fault(round(draw.uniform(0.1, 0.9), 2), Kind.KILL, draw.choice([name, f"{name}.2"]), 5)
        for name in SERVICES
    ]
    pause = Pause(pairs.world)
    measuring = asyncio.create_task(pause.measure())
    name = "a replica of each is killed"
    with report.record(name, kept, sorted(faults)) as result:
        await run(pairs.world, _plans("replicas", 6, 4), result)
    measuring.cancel()
    _note(report, name, pause)
    assert result.phases == {"active": 10}
    assert not result.findings, "\n".join(result.findings)


async def test_the_busiest_of_three_brokers_dies_and_nothing_is_lost(
    pairs: Pairs, report: Report, kept: Path
) -> None:
    """Publishers and consumers go on at the other two."""
    pause = Pause(pairs.world)
    measuring = asyncio.create_task(pause.measure())
    name = "one of three brokers is killed"
    faults = [Fault(MID_BURST, Kind.KILL, "the busiest broker", 5)]
    with report.record(name, kept, faults) as result:
        await run(
            pairs.world, _plans("broker", 6, 4), result, lambda *_: _killed_busiest(pairs.brokers)
        )
    measuring.cancel()
    _note(report, name, pause)
    assert result.phases == {"active": 10}
    assert not result.findings, "\n".join(result.findings)


@asynccontextmanager
async def _killed_busiest(brokers: BrokerCluster) -> AsyncIterator[None]:
    node = await brokers.busiest()
    brokers.kill(node)
    try:
        yield
    finally:
        brokers.spawn(node)
        await brokers.wait_ready(node)


async def test_a_rolling_restart_of_everything_under_load_loses_nothing(
    pairs: Pairs, report: Report, kept: Path
) -> None:
    """Each replica, each broker and PostgreSQL in turn, while VMs are made and deleted."""
    pause = Pause(pairs.world)
    measuring = asyncio.create_task(pause.measure())
    rolling = asyncio.create_task(_roll(pairs))
    results: list[Result] = []
    while not rolling.done() or not results:
        number = len(results)
        with report.record(f"rolling restart, load {number}", kept, []) as result:
            await run(pairs.world, _plans(f"rolling-{number}", 3, 2), result)
        results.append(result)
        if result.findings:
            break
    measuring.cancel()
    await rolling
    _note(report, "rolling restart", pause)
    assert [result.findings for result in results] == [[]] * len(results)
    assert all(result.phases == {"active": 5} for result in results)


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
