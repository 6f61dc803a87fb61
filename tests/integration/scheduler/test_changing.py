"""Events that come at once are taken together, and each as if it came alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.scheduler import admitting, cloud_health, push
from services.scheduler.changing import Change, Lesson, make_changes
from services.scheduler.ledger import Transaction
from services.scheduler.state import Decision, ResourceState
from shared.contract.codec import envelope_for
from shared.contract.messages import VmBuildStarted, VmObserved, VmPortPrepared
from shared.contract.resources import Phase
from shared.storage import Database
from tests.integration.scheduler.desk import Desk, desk

PORT = VmPortPrepared(
    port_id="p", network_id="n", mac_address="02:00:00:00:00:01", fixed_ips=("10.0.0.1",)
)


@pytest.fixture
async def ledger(ledger_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """The scheduler's rooms on an empty ledger."""
    async with desk(ledger_dsn, tmp_path, {"bigtop": {"vms": 50}}) as made:
        yield made


async def admitted(ledger: Desk, count: int) -> list[str]:
    """So many VMs whose ports have been ordered."""
    vms = [await ledger.create() for _ in range(count)]
    await admitting.hold_round(ledger.context)
    return vms


async def answer_port(ledger: Desk, vm: str, *, id: str | None = None) -> None:
    """The worker's answer to the first command."""
    await ledger.event(PORT, vm, "bigtop", step="port", attempt=1, id=id)


async def test_a_burst_of_answers_is_one_transaction(ledger: Desk) -> None:
    """Each VM goes on, and the ledger's database has committed once for all of them."""
    vms = await admitted(ledger, 10)
    await asyncio.gather(*(answer_port(ledger, vm) for vm in vms))
    assert sorted(one.envelope.subject for one in ledger.take("ProvisionVm")) == sorted(vms)
    assert await transactions(ledger.database) == 1


async def transactions(database: Database) -> int:
    """How many transactions the ledger's rows are of: each leaves its number in what it wrote."""
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM resources"))


async def test_two_events_of_one_vm_are_taken_in_their_order(ledger: Desk) -> None:
    """What the cloud tells right behind the worker's answer ends the wait that this began."""
    (vm,) = await admitted(ledger, 1)
    await answer_port(ledger, vm)
    seen = VmObserved(
        observed_at=datetime.now(UTC),
        server_id="s",
        server_status="ACTIVE",
        port_status="ACTIVE",
        notified=True,
    )
    await asyncio.gather(
        ledger.event(VmBuildStarted(server_id="s"), vm, "bigtop", step="server", attempt=1),
        ledger.event(seen, vm, "bigtop"),
    )
    assert (await ledger.state(vm)).phase is Phase.ACTIVE


async def test_a_second_delivery_in_the_same_burst_changes_nothing(ledger: Desk) -> None:
    """The inbox holds within a batch, too."""
    (vm,) = await admitted(ledger, 1)
    await asyncio.gather(*(answer_port(ledger, vm, id="same") for _ in range(3)))
    assert len(ledger.take("ProvisionVm")) == 1


async def test_an_event_that_cannot_be_taken_fails_alone(ledger: Desk) -> None:
    """Those that shared its transaction are taken."""
    first, second = await admitted(ledger, 2)
    unknown_step = ledger.event(PORT, first, "bigtop", step="nonsense", attempt=1)
    failed, fine = await asyncio.gather(
        unknown_step, answer_port(ledger, second), return_exceptions=True
    )
    assert fine is None
    assert [one.envelope.subject for one in ledger.take("ProvisionVm")] == [second]
    assert failed is None or isinstance(failed, Exception)


@pytest.mark.parametrize("order", [1, -1])
async def test_a_clouds_rows_are_locked_in_one_order_however_the_events_come(
    ledger: Desk, order: int
) -> None:
    """So two batches that have an answer and an observation each never wait in a circle."""
    first, second = await admitted(ledger, 2)
    locked: list[str] = []

    def change(vm: str, table: str) -> Change:
        async def write(tx: Transaction, before: ResourceState, after: ResourceState) -> None:
            locked.append(table)

        event = envelope_for(PORT, source="/vm_worker/test", subject=vm, tenant="bigtop")
        return Change(event, False, Decision, Lesson(table, write))

    changes = [change(first, cloud_health.TABLE), change(second, push.TABLE)]
    async with ledger.database.transaction() as tx:
        await make_changes(tx, ledger.context.ledger, changes[::order])
    assert locked == [cloud_health.TABLE, push.TABLE]
