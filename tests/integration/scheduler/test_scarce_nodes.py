"""Free nodes go to the next of all tenants, on the real ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from services.scheduler import gate_rows, scarce_nodes
from services.scheduler.usage import lock_tenant
from shared.contract.messages import CommandFailed
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Phase, Queue
from tests.integration.scheduler.desk import desk
from tests.integration.scheduler.lab import NONE_FREE, WAITS, Lab
from tests.integration.scheduler.test_machines import answer
from tests.support.conditions import eventually

PLACES = {
    "stores": {"rack": {}},
    "metals": {"lab": {"store": "rack", "cloud": "devcloud", "archs": ["aarch64", "x86_64"]}},
}
TENANTS: dict[str, dict[str, int]] = {"bigtop": {}, "openlab": {}}


@pytest.fixture
async def lab(
    ledger_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Lab]:
    """A scheduler of two replicas on an empty ledger, and a metal without free nodes.

    It is time for another try when the test says so.
    """
    monkeypatch.setattr(gate_rows, "WAITS", (600, 1200))
    async with AsyncExitStack() as stack:
        replicas = []
        for name in ("one", "two"):
            (folder := tmp_path / name).mkdir()
            made = desk(ledger_dsn, folder, TENANTS, places=PLACES)
            replicas.append(await stack.enter_async_context(made))
        yield Lab(replicas, Counter())


async def test_who_was_refused_waits_with_all_others_of_that_flavor_and_with_no_others(
    lab: Lab,
) -> None:
    """Neither its tenant's next nor another tenant's asks Ironic; small ones are had at once."""
    lab.free.update(small=2)
    first = await lab.create("bigtop", "big")
    await lab.go_on()
    later = [await lab.create(tenant, "big") for tenant in ("openlab", "bigtop")]
    small = [await lab.create(tenant, "small") for tenant in TENANTS]
    await lab.go_on()
    assert sorted(lab.asked) == sorted([first, *small])
    assert set(lab.holders) == set(small)
    gate = await lab.gate("big")
    assert (gate.reason, gate.words, gate.tries) == (Reason.NO_FREE_NODE, NONE_FREE, 0)
    states = [(await lab.desk.state(one)).resource.status for one in (first, *later)]
    assert {one.reason for one in states} == {Reason.NO_FREE_NODE}
    # Both tenants hold a small one: the first of the names, the other's, then its next.
    opens = gate.not_before.replace(microsecond=0)
    told = [one.queue for one in states]
    assert told == [Queue(position=1, estimated_start=opens), Queue(position=2), Queue(position=3)]


async def test_what_was_refused_closes_no_gate_of_its_tenant(lab: Lab) -> None:
    """Which would hold up what the tenant wants of other nodes."""
    await lab.create("bigtop", "big")
    await lab.go_on()
    async with lab.desk.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM full_clouds") == 0


async def test_a_node_that_is_given_back_is_tried_for_by_the_tenant_that_holds_least(
    lab: Lab,
) -> None:
    """By one, though its gate's time has not come, and though it asked after the other."""
    lab.free.update(big=1, small=1)
    holder, _ = await lab.create("bigtop", "big"), await lab.create("bigtop", "small")
    await lab.go_on()
    mine, theirs = await lab.create("bigtop", "big"), await lab.create("openlab", "big")
    await lab.hold_round()
    await lab.work()
    assert {await lab.phase(one) for one in (mine, theirs)} == {Phase.WAITING}
    lab.asked.clear()
    await lab.delete(holder)
    assert (await lab.gate("big")).tries == 1
    await lab.go_on()
    assert lab.asked == [theirs]
    assert theirs in lab.holders


async def test_who_was_refused_gives_nothing_back(lab: Lab) -> None:
    """Neither when all of it is undone, nor when it is deleted meanwhile, or afterwards."""
    first, second = await lab.create("bigtop", "big"), await lab.create("openlab", "big")
    await lab.hold_round()
    await lab.work("ReleaseNode")
    assert await lab.phase(first) is Phase.DEPROVISIONING
    await lab.delete(first)
    assert await lab.phase(first) is Phase.DELETED
    assert await lab.phase(second) is Phase.WAITING
    await lab.delete(second)
    assert (await lab.gate("big")).tries == 0


async def test_one_that_had_a_node_and_no_address_gives_its_node_back(lab: Lab) -> None:
    """Its tenant's gate is closed by what the cloud refused, the nodes' is open for another."""
    lab.free.update(big=1)
    unlucky = await lab.create("bigtop", "big", floating_ip=True)
    await lab.hold_round()
    await lab.work("AssociateFloatingIp")
    (command,) = [one for each in lab.replicas for one in each.take("AssociateFloatingIp")]
    other = await lab.create("openlab", "big")
    await lab.go_on()
    assert await lab.phase(other) is Phase.WAITING
    assert (await lab.gate("big")).tries == 0
    problem = Problem(title="x", reason=Reason.ADDRESSES_EXHAUSTED, retryable=True)
    failed = CommandFailed(command="AssociateFloatingIp", problem=problem, retryable=False)
    await answer(lab.desk, command, failed)
    await lab.work()
    assert await lab.phase(unlucky) is Phase.WAITING
    assert (await lab.gate("big")).tries == 1
    await lab.go_on()
    assert lab.holders == {other: "big"}
    assert await lab.reason(unlucky) is Reason.ADDRESSES_EXHAUSTED


@pytest.mark.parametrize(
    ("given", "opened"),
    [
        ({}, {"aarch64": 1, "x86_64": 1, "": 1}),
        ({"arch": "x86_64"}, {"aarch64": 0, "x86_64": 1, "": 1}),
    ],
)
async def test_a_node_may_be_the_one_for_who_has_not_said_which_arch(
    lab: Lab, given: dict[str, Any], opened: dict[str, int]
) -> None:
    """Or of whose arch is not known."""
    lab.free.update(big=1)
    holder = await lab.create("bigtop", "big", **given)
    await lab.go_on()
    for arch in ({}, {"arch": "x86_64"}, {"arch": "aarch64"}):
        await lab.create("openlab", "big", **arch)
        await lab.go_on()
    await lab.delete(holder)
    assert {key.arch: gate.tries for key, gate in (await lab.gates()).items()} == opened


async def test_when_it_is_time_one_of_all_tenants_tries_and_the_next_waits_longer(
    lab: Lab,
) -> None:
    """Two replicas hold a round each, at the same time."""
    for tenant in TENANTS:
        await lab.create(tenant, "big")
    await lab.go_on()
    lab.asked.clear()
    await lab.hold_round()
    assert lab.asked == []
    before = await lab.gate("big")
    await lab.pass_time()
    await lab.hold_round()
    after = await lab.gate("big")
    await lab.work()
    assert len(lab.asked) == 1
    assert (after.not_before - before.not_before).total_seconds() > 500


async def test_who_found_a_node_lets_another_try_and_the_last_one_forgets_the_refusal(
    lab: Lab,
) -> None:
    """Of nodes that an operator adds nobody tells: one tries when it is time, then the others."""
    machines = [await lab.create(tenant, "big") for tenant in ("bigtop", "openlab", "bigtop")]
    await lab.go_on()
    lab.free.update(big=5)
    await lab.pass_time()
    for served in (1, 2, 3):
        await lab.go_on()
        assert len(lab.holders) == served
    assert set(lab.holders) == set(machines)
    assert await lab.gates() == {}


async def test_every_machine_is_served_whatever_happens_between(lab: Lab) -> None:
    """Of two flavors and tenants, with fewer nodes than machines; none is given to two."""
    lab.free.update(big=2, small=1)
    wanted = [
        await lab.create(tenant, flavor)
        for flavor in ("big", "small", "big", "big")
        for tenant in ("bigtop", "openlab", "openlab")
    ]
    served: set[str] = set()
    for _ in range(40):
        if len(served) == len(wanted):
            break
        await lab.go_on()
        served |= set(lab.holders)
        assert Counter(lab.holders.values()) <= Counter(big=2, small=1)
        if lab.holders:
            await lab.delete(next(iter(lab.holders)))
        else:
            await lab.pass_time()
    assert served == set(wanted)


async def test_after_the_last_was_given_back_nobody_is_forgotten(lab: Lab) -> None:
    """That a node is free may never be told; whoever waits tries when it is time."""
    waiting = [await lab.create(tenant, "big") for tenant in ("openlab", "bigtop", "openlab")]
    await lab.go_on()
    tried: set[str] = set()
    for machine in waiting:
        lab.asked.clear()
        await lab.pass_time()
        await lab.go_on()
        tried |= set(lab.asked)
        assert len(lab.asked) == 1
        await lab.delete(lab.asked[0])
        assert machine in waiting
    assert tried == set(waiting)


async def test_the_nodes_lock_is_taken_when_no_tenants_is_waited_for_any_more(lab: Lab) -> None:
    """Or two batches that concern the same tenants would wait for each other in a circle."""
    ending = await lab.create("openlab", "big")
    await lab.hold_round()
    await lab.delete(ending, "DeprovisionVolume")
    refused = await lab.create("bigtop", "big")
    await lab.hold_round()
    await lab.work("DeprovisionVolume", "ReserveNode")
    sent = [one for each in lab.replicas for one in each.take("ReserveNode", "DeprovisionVolume")]
    assert sorted(one.envelope.subject for one in sent) == sorted([ending, refused])
    one_replica = Lab(lab.replicas[:1], lab.free)
    async with lab.replicas[1].database.transaction() as tx:
        await lock_tenant(tx, "openlab")
        answers = asyncio.create_task(one_replica.answer(sent))

        async def one_waits() -> bool:
            return bool(await tx.fetchval(WAITS))

        await eventually(one_waits, within=60, what="the batch waits for a tenant")
        assert await tx.fetchval("SELECT pg_try_advisory_xact_lock($1)", scarce_nodes._LOCK)
    await answers
    await lab.work()
    assert await lab.phase(ending) is Phase.DELETED
    assert await lab.phase(refused) is Phase.WAITING
    assert (await lab.gate("big")).tries == 0
