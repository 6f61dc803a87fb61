"""When a cloud's own notifications are relied on, and what is inspected then: real ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.scheduler import admitting, inspections, push
from services.scheduler.metrics import NOTIFICATIONS_TRUSTED, WAITS_ENDED
from shared.contract.messages import CloudNotificationsChanged, InspectVms, VmObserved
from shared.contract.resources import Phase, Verb
from tests.integration.scheduler.desk import Desk, desk
from tests.unit.scheduler.driver import ANSWERS

CLOUD = "devcloud"
UP = {"server_status": "ACTIVE", "port_status": "ACTIVE", "server_id": "server-1"}


@pytest.fixture
async def ledger(ledger_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """The scheduler's rooms on an empty ledger; rare inspections are a minute apart."""
    quota = {"bigtop": {"vms": 50}}
    async with desk(ledger_dsn, tmp_path, quota, inspect_pushed_seconds=60) as made:
        async with made.database.transaction() as tx:
            await push.know(tx, [CLOUD])
            await push.know(tx, [CLOUD])  # as every replica does
        yield made


async def answer(ledger: Desk, *names: str) -> None:
    """The worker answers all commands of these names, in turn."""
    for name in names:
        for command in ledger.take(name):
            envelope = command.envelope
            await ledger.event(
                ANSWERS[name],
                envelope.subject,
                envelope.tenant,
                step=envelope.step,
                attempt=envelope.attempt,
            )


async def building(ledger: Desk) -> str:
    """A VM whose server Nova builds."""
    vm = await ledger.create()
    await admitting.hold_round(ledger.context)
    await answer(ledger, "PrepareVmPort", "ProvisionVm")
    return vm


async def see(ledger: Desk, vm: str, **fields: Any) -> None:
    """Something is seen of it."""
    event = VmObserved(**{"observed_at": datetime.now(UTC), **fields})
    await ledger.event(event, vm, "bigtop")


async def told(ledger: Desk) -> None:
    """A notification ends a wait."""
    await see(ledger, await building(ledger), **UP, notified=True)


async def trusted(ledger: Desk) -> bool:
    async with ledger.database.transaction() as tx:
        return CLOUD in await push.trusted(tx)


async def let_time_pass(ledger: Desk, seconds: float) -> None:
    """Everything has happened so long ago."""
    by = timedelta(seconds=seconds)
    async with ledger.database.transaction() as tx:
        await tx.execute("UPDATE resources SET updated_at = updated_at - $1::interval", by)
        await tx.execute(
            "UPDATE cloud_notifications SET held_until = held_until - $1::interval,"
            " looked_at = looked_at - $1::interval",
            by,
        )


async def looked_at(ledger: Desk) -> set[str]:
    """What the next round of inspections asks about."""
    await inspections.inspect_waiting(ledger.context)
    found: set[str] = set()
    for command in ledger.take("InspectVms"):
        assert isinstance(command.message, InspectVms)
        found |= {vm.resource_id for vm in command.message.vms}
    return found


async def test_nothing_is_relied_on_to_begin_with(ledger: Desk) -> None:
    """Every open wait is looked at, in every round."""
    vm = await building(ledger)
    assert not await trusted(ledger)
    assert await looked_at(ledger) == {vm}
    assert await looked_at(ledger) == {vm}


async def test_nothing_is_asked_when_nothing_is_open(ledger: Desk) -> None:
    """An idle cloud has its peace."""
    vm = await building(ledger)
    await see(ledger, vm, **UP)
    assert await looked_at(ledger) == set()


async def test_a_notification_that_ends_a_wait_earns_trust(ledger: Desk) -> None:
    """It is counted, and shown."""
    before = WAITS_ENDED.labels(CLOUD, "notified")._value.get()
    await told(ledger)
    assert await trusted(ledger)
    assert WAITS_ENDED.labels(CLOUD, "notified")._value.get() == before + 1
    assert NOTIFICATIONS_TRUSTED.labels(CLOUD)._value.get() == 1


async def test_news_that_overtakes_the_workers_answer_earns_trust(ledger: Desk) -> None:
    """It was told in time, all the more."""
    vm = await ledger.create()
    await admitting.hold_round(ledger.context)
    await answer(ledger, "PrepareVmPort")
    await see(ledger, vm, **UP, notified=True)
    assert await trusted(ledger)
    await answer(ledger, "ProvisionVm")
    assert (await ledger.state(vm)).phase is Phase.ACTIVE


async def test_news_that_ends_nothing_earns_no_trust(ledger: Desk) -> None:
    """Of a server that nobody knows, or that is still without its port."""
    vm = await building(ledger)
    await see(ledger, vm, **{**UP, "server_id": "another"}, notified=True)
    await see(ledger, vm, **{**UP, "port_status": "DOWN"}, notified=True)
    assert not await trusted(ledger)


async def test_while_trusted_a_wait_is_looked_at_rarely(ledger: Desk) -> None:
    """Not before it has been quiet for long, and then once in a while."""
    await told(ledger)
    vm = await building(ledger)
    assert await looked_at(ledger) == set()
    await let_time_pass(ledger, 61)
    young = await building(ledger)
    assert await looked_at(ledger) == {vm}, "the other may yet be told of"
    assert await looked_at(ledger) == set()
    await let_time_pass(ledger, 61)
    assert await looked_at(ledger) == {vm, young}


async def test_what_is_nearly_proven_is_looked_at_in_every_round(ledger: Desk) -> None:
    """Not every cloud tells when a port comes up; one that does has a moment for it."""
    await told(ledger)
    vm = await building(ledger)
    await see(ledger, vm, **{**UP, "port_status": "DOWN"}, notified=True)
    assert await looked_at(ledger) == set()
    await let_time_pass(ledger, ledger.context.settings.inspect_fast_seconds)
    assert await looked_at(ledger) == {vm}
    assert await looked_at(ledger) == {vm}
    await see(ledger, vm, **UP)
    assert (await ledger.state(vm)).phase is Phase.ACTIVE
    assert await trusted(ledger), "the cloud had told what it tells"


async def test_a_wait_that_an_inspection_had_to_end_costs_the_trust(ledger: Desk) -> None:
    """For a while: what comes in that time is no evidence yet."""
    await told(ledger)
    vm = await building(ledger)
    launched = datetime.now(UTC) - timedelta(seconds=30)
    await see(ledger, vm, **UP, launched_at=launched)
    assert not await trusted(ledger)
    await told(ledger)
    assert not await trusted(ledger)
    await let_time_pass(ledger, 3 * 60 + 1)
    await told(ledger)
    assert await trusted(ledger)


async def test_a_deletion_that_nobody_told_costs_the_trust(ledger: Desk) -> None:
    """As a build does."""
    vm = await building(ledger)
    await see(ledger, vm, **UP, notified=True)
    await ledger.request(Verb.DELETE, vm, "bigtop")
    await answer(ledger, "DeprovisionVm")
    await see(ledger, vm, gone=True, server_id="server-1")
    assert not await trusted(ledger)


async def test_an_inspection_that_was_only_quicker_costs_nothing(ledger: Desk) -> None:
    """The server was launched a moment ago: its notification is still on the way."""
    await told(ledger)
    vm = await building(ledger)
    await see(ledger, vm, **UP, launched_at=datetime.now(UTC) - timedelta(seconds=1))
    assert await trusted(ledger)


@pytest.mark.parametrize("receiving", [True, False])
async def test_a_worker_that_is_cut_off_costs_the_trust_at_once(
    ledger: Desk, receiving: bool
) -> None:
    """Until the next evidence; that one is connected is none."""
    for before in (False, True):
        assert await trusted(ledger) is before
        now = datetime.now(UTC)
        event = CloudNotificationsChanged(cloud=CLOUD, receiving=receiving, changed_at=now)
        await ledger.event(event, f"vm_worker/{CLOUD}", "colobus")
        assert await trusted(ledger) is (before and receiving)
        await told(ledger)
    assert await trusted(ledger)


async def test_a_cloud_that_no_tenant_has_is_no_fault(ledger: Desk) -> None:
    """A worker may be told of more clouds than we."""
    event = CloudNotificationsChanged(
        cloud="elsewhere", receiving=False, changed_at=datetime.now(UTC)
    )
    await ledger.event(event, "vm_worker/elsewhere", "colobus")
    assert await looked_at(ledger) == set()
