"""What the fault harness sends all the while: it comes through, and is no evidence of a burst."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from colobus.client import Client
from colobus.models import CreateVm, Phase
from tests.faults.evidence import Before, look_into_books
from tests.faults.plan import PROBER, PROBER_QUOTA, QUOTAS
from tests.faults.probes import Ways, all_ways
from tests.support.balancer import Balancer
from tests.support.ci import SPEC, CiSystem, accepted, until_done
from tests.support.conditions import eventually
from tests.support.installation import NO_CLOUD, Installation, installation
from tests.support.proxy import Proxy


@pytest.fixture(scope="module")
def colobus(
    basics: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation of which nothing runs yet, and whose cloud nobody asks."""
    quotas = {**QUOTAS, PROBER: PROBER_QUOTA}
    projects = {PROBER: {"devcloud": "project-3"}}
    folder: Path = tmp_path_factory.mktemp("probes")
    with installation({**basics, **NO_CLOUD}, folder, quotas, projects=projects) as made:
        yield made


def _with_nobody(url: str) -> str:
    """Return the URL with a port on which nobody listens."""
    return urlsplit(url)._replace(netloc=f"{urlsplit(url).netloc.rpartition(':')[0]}:1").geturl()


async def _came_through(ways: Ways, more: int) -> None:
    """Wait until ``more`` requests of each way, sent from now on, were told."""
    probes = (ways.writes.passages, ways.bus.passages)
    before = [frozenset(one.sent) for one in probes]

    async def told() -> bool:
        pairs = zip(probes, before, strict=True)
        return all(len(one.told.keys() - old) >= more for one, old in pairs)

    await eventually(told, what="requests by HTTP and by bus")


async def test_a_write_comes_through_while_one_replica_of_each_is_killed(
    colobus: Installation,
) -> None:
    """By HTTP and by bus, whatever was on its way; and of two brokers one takes nobody."""
    doors = ("front_door", "front_door.2")
    colobus.start("scheduler", "scheduler.2", *doors)
    url = colobus.amqp_url(PROBER)
    brokers = [url, _with_nobody(url)]
    async with (
        Balancer.to(*map(colobus.url_of, doors)) as balancer,
        all_ways(balancer.url, colobus.tokens, brokers) as ways,
    ):
        await _came_through(ways, 2)
        for process in ("scheduler", "front_door.2"):
            colobus.kill(process)
            await _came_through(ways, 2)
    colobus.stop()
    assert ways.wrong(bound=60) == []


async def test_who_asks_by_bus_hears_at_once_that_its_broker_is_gone(
    colobus: Installation,
) -> None:
    """Else it would wait for what can't come any more, and measure a pause of its own."""
    url = colobus.amqp_url(PROBER)
    async with Proxy.to(url) as proxy, CiSystem.of(PROBER, proxy.url) as ci:
        waiting = asyncio.create_task(ci.answer("of nobody"))
        await proxy.cut()
        with pytest.raises(ConnectionError, match="the broker is gone"):
            await waiting


async def test_who_asks_by_bus_asks_again_wherever_its_connection_was_lost(
    colobus: Installation,
) -> None:
    """Before it published, or waiting for the answer; but another answer than expected is told."""
    tries: list[CiSystem] = []

    async def ask(ci: CiSystem) -> int:
        tries.append(ci)
        if len(tries) == 1:
            await proxy.cut()
            await ci.publish({"verb": "create", "kind": "vm", "spec": SPEC})
        if len(tries) == 2:
            await proxy.cut()
            await ci.answer("of nobody")
        return len(tries)

    async def be_told_otherwise(ci: CiSystem) -> None:
        accepted({"type": "org.colobus.RequestRefused.v1", "to": ci.user})

    async with Proxy.to(colobus.amqp_url(PROBER)) as proxy:
        assert await until_done(PROBER, [proxy.url], ask) == 3
        with pytest.raises(AssertionError, match="RequestRefused"):
            await until_done(PROBER, [proxy.url], be_told_otherwise)


async def test_evidence_leaves_out_what_is_the_probers_and_nothing_else(
    colobus: Installation,
) -> None:
    """All books hold requests of both; only that of the burst's own tenant is judged."""
    colobus.start("scheduler", "front_door")
    ids = {}
    for tenant, phase in (("bigtop", Phase.PROVISIONING), (PROBER, Phase.FAILED)):
        async with Client(colobus.url, token=colobus.tokens[tenant]) as client:
            made = await client.create(CreateVm(image="debian-12", flavor="small"))
            ids[tenant] = (await client.wait(made.id, phase, timeout=30)).id
    colobus.stop()
    dsn = str.__str__(colobus.admin.admin_database_dsn)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("UPDATE front_door.requests SET confirmed_at = NULL")
        await connection.execute(
            """INSERT INTO scheduler.outbox
                (id, exchange, routing_key, type, body, tries, claimed_until)
            SELECT id, exchange, routing_key, type, body, 1, now() FROM front_door.requests"""
        )
        known = await connection.fetch("SELECT id FROM scheduler.resources")
    finally:
        await connection.close()
    assert {row["id"] for row in known} >= set(ids.values())
    said = await look_into_books(dsn, Before(frozenset(), {}, frozenset()))
    vm = ids["bigtop"]
    assert [row.id for row in said.rows] == [row.id for row in said.read_model] == [vm]
    assert {told.resource_id for told in said.timeline} == {vm}
    assert said.networked == {"bigtop"}
    assert {tenant for (tenant, _), amount in said.usage.items() if amount} == {"bigtop"}
    assert said.left_over["requests without a confirm"] == 1
    assert said.left_over["rows in the scheduler's outbox"] == 1
