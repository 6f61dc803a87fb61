"""When those that wait will start, as they are told: leases, refusals and rests of the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.scheduler import admitting
from shared.contract.messages import CommandFailed, VmObserved
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Phase, Queue, Verb
from tests.integration.scheduler.desk import Desk, desk
from tests.unit.scheduler.driver import ANSWERS


@pytest.fixture
async def ledger(ledger_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """The scheduler's rooms on an empty ledger, with a quota of two VMs."""
    async with desk(ledger_dsn, tmp_path, {"bigtop": {"vms": 2}}, rest_failures=1) as made:
        yield made


async def active(ledger: Desk, lease_ttl: int | None = None) -> str:
    """A VM that lives."""
    vm = await ledger.create(lease_ttl=lease_ttl)
    await hold_round(ledger)
    for name in ("PrepareVmPort", "ProvisionVm"):
        await ledger.event(ANSWERS[name], vm, "bigtop", step=_STEPS[name], attempt=1)
    seen = VmObserved(
        observed_at=datetime.now(UTC),
        server_id="server-1",
        server_status="ACTIVE",
        port_status="ACTIVE",
    )
    await ledger.event(seen, vm, "bigtop")
    assert (await ledger.state(vm)).phase is Phase.ACTIVE
    ledger.shelf.sent.clear()
    return vm


_STEPS = {"PrepareVmPort": "port", "ProvisionVm": "server"}


async def hold_round(ledger: Desk) -> None:
    """Whoever may start does, the others are told."""
    await admitting.hold_round(ledger.context)


async def lease_end(ledger: Desk, vm: str) -> datetime:
    """When the VM goes by itself, in whole seconds."""
    lease = (await ledger.state(vm)).resource.lease
    assert lease is not None
    assert lease.expires_at is not None
    return lease.expires_at.replace(microsecond=0)


async def told(ledger: Desk, vm: str) -> Queue | None:
    """What one that waits has been told of the queue."""
    return (await ledger.state(vm)).resource.status.queue


async def test_who_waits_for_the_quota_knows_whose_lease_it_waits_for(ledger: Desk) -> None:
    """The first for the earliest, the second for the next; the third for nobody knows whom."""
    later, sooner = await active(ledger, 7200), await active(ledger, 3600)
    vms = [await ledger.create() for _ in range(3)]
    await hold_round(ledger)
    assert await told(ledger, vms[0]) == Queue(
        position=1, estimated_start=await lease_end(ledger, sooner)
    )
    assert await told(ledger, vms[1]) == Queue(
        position=2, estimated_start=await lease_end(ledger, later)
    )
    assert await told(ledger, vms[2]) == Queue(position=3)


async def test_a_lease_that_is_extended_is_news_to_who_waits_for_it(ledger: Desk) -> None:
    """Once, with the next round; nothing else is told again."""
    await active(ledger)
    extended = await active(ledger, 3600)
    vm = await ledger.create()
    await hold_round(ledger)
    before = (await ledger.state(vm)).resource
    await hold_round(ledger)
    assert (await ledger.state(vm)).resource == before
    await ledger.request(Verb.EXTEND, extended, "bigtop", lease_ttl=9000)
    await hold_round(ledger)
    after = (await ledger.state(vm)).resource
    assert after.revision == before.revision + 1
    assert after.status.queue == Queue(
        position=1, estimated_start=await lease_end(ledger, extended)
    )


async def test_without_leases_nobody_knows(ledger: Desk) -> None:
    """No time is told rather than a guess."""
    await active(ledger)
    await active(ledger)
    vm = await ledger.create()
    await hold_round(ledger)
    assert await told(ledger, vm) == Queue(position=1)


async def test_who_waits_for_one_that_is_being_removed_is_told_no_time(ledger: Desk) -> None:
    """Room comes in a moment; the next waits for the lease."""
    deleted, leased = await active(ledger), await active(ledger, 3600)
    await ledger.request(Verb.DELETE, deleted, "bigtop")
    first, second = await ledger.create(), await ledger.create()
    await hold_round(ledger)
    assert await told(ledger, first) == Queue(position=1)
    assert await told(ledger, second) == Queue(
        position=2, estimated_start=await lease_end(ledger, leased)
    )


async def port_fails(ledger: Desk, reason: Reason, *, retryable: bool) -> str:
    """A VM that a round has admitted, and whose first command has failed."""
    vm = await ledger.create()
    await hold_round(ledger)
    problem = Problem(title="x", detail="words", reason=reason, retryable=True)
    failed = CommandFailed(command="PrepareVmPort", problem=problem, retryable=retryable)
    await ledger.event(failed, vm, "bigtop", step="port", attempt=1)
    return vm


async def column(ledger: Desk, name: str, table: str) -> datetime:
    """The only one there is, in whole seconds."""
    async with ledger.database.connection() as connection:
        found: datetime = await connection.fetchval(f"SELECT {name} FROM {table}")
    return found.replace(microsecond=0)


async def test_whom_a_clouds_quota_refused_knows_when_it_is_tried_again(ledger: Desk) -> None:
    """The next to try is told; who stands behind it waits for the outcome."""
    first = await port_fails(ledger, Reason.QUOTA_EXCEEDED, retryable=False)
    await ledger.event(ANSWERS["ReleaseVmPort"], first, "bigtop", step="port", attempt=2)
    second = await ledger.create()
    await hold_round(ledger)
    opens = await column(ledger, "not_before", "full_clouds")
    assert await told(ledger, first) == Queue(position=1, estimated_start=opens)
    assert await told(ledger, second) == Queue(position=2)


async def test_while_its_cloud_rests_the_next_knows_when_it_is_tried_again(ledger: Desk) -> None:
    """By this one, since it is the first."""
    await port_fails(ledger, Reason.BACKEND_UNAVAILABLE, retryable=True)
    vm = await ledger.create()
    await hold_round(ledger)
    until = await column(ledger, "resting_until", "cloud_failures")
    assert await told(ledger, vm) == Queue(position=1, estimated_start=until)
