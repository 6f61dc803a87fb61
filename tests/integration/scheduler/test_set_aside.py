"""A row that can't be handled is left for later, and stops nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.scheduler import admitting, inspections, setbacks, timers
from services.scheduler.metrics import SET_ASIDE
from shared.contract.messages import InspectVms
from shared.contract.problems import Reason
from shared.contract.resources import Phase
from tests.integration.scheduler.desk import Desk, desk
from tests.integration.scheduler.test_estimates import active

#: What a row may come to by a fault of ours, or by a scheduler of another version.
UNREADABLE = "state = jsonb_set(state, '{progress}', '7')"
#: The steps are made of it.
ODD_SPEC = "state = jsonb_set(state, '{resource,spec,security_groups}', '7')"
ODD_DEMAND = 'demand = \'{"vms": "many"}\''
MENDED = {
    UNREADABLE: "state = state - 'progress'",
    ODD_SPEC: "state = state #- '{resource,spec,security_groups}'",
    ODD_DEMAND: "demand = '{\"vms\": 1}'",
}


@pytest.fixture
async def ledger(ledger_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """The scheduler's rooms on an empty ledger, with a quota of two VMs."""
    async with desk(ledger_dsn, tmp_path, {"bigtop": {"vms": 2}}) as made:
        yield made


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was set aside is looked at again at once."""
    monkeypatch.setattr(setbacks, "PAUSES", (0,))


@pytest.fixture
def long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left alone for longer than a test takes."""
    monkeypatch.setattr(setbacks, "PAUSES", (300,))


async def change(ledger: Desk, vm: str, assignment: str) -> None:
    async with ledger.database.connection() as connection:
        await connection.execute(f"UPDATE resources SET {assignment} WHERE id = $1", vm)


async def make_due(ledger: Desk) -> None:
    async with ledger.database.connection() as connection:
        await connection.execute("UPDATE timers SET due_at = now() - interval '1 s'")


async def dues(ledger: Desk, vm: str) -> dict[str, timedelta]:
    """The VM's timers, and in what time they ring."""
    async with ledger.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT name, due_at - now() AS due_in FROM timers WHERE resource_id = $1", vm
        )
    return {row["name"]: row["due_in"] for row in rows}


def count(loop: str) -> float:
    return float(SET_ASIDE.labels(loop)._value.get())


async def phase(ledger: Desk, vm: str) -> str:
    async with ledger.database.connection() as connection:
        return str(await connection.fetchval("SELECT phase FROM resources WHERE id = $1", vm))


async def test_a_timer_that_cannot_be_rung_is_put_off_longer_and_longer(ledger: Desk) -> None:
    """The other one rings in the same round; the broken one does when its row is mended."""
    broken, good = [await ledger.create(deadline=600) for _ in range(2)]
    await change(ledger, broken, UNREADABLE)
    before = count("timers")
    for failures in range(1, 9):
        await make_due(ledger)
        await timers.ring_due(ledger.context)
        pause = setbacks.PAUSES[min(failures, len(setbacks.PAUSES)) - 1]
        left = (await dues(ledger, broken))["deadline"].total_seconds()
        assert pause - 5 < left <= pause
    assert count("timers") == before + 8
    assert await phase(ledger, good) == "failed", "its deadline has passed"
    await change(ledger, broken, MENDED[UNREADABLE])
    await make_due(ledger)
    await timers.ring_due(ledger.context)
    assert await phase(ledger, broken) == "failed"


async def test_a_timer_of_a_step_that_nobody_knows_stops_no_other(ledger: Desk) -> None:
    """A scheduler of another version has left it behind."""
    vm = await active(ledger, lease_ttl=600)
    async with ledger.database.connection() as connection:
        await connection.execute(
            "INSERT INTO timers (resource_id, name, due_at)"
            " VALUES ($1, 'retry/warp', now() - interval '1 h')",
            vm,
        )
    await ledger.create(deadline=600)
    await make_due(ledger)
    await timers.ring_due(ledger.context)
    assert (await dues(ledger, vm))["retry/warp"] > timedelta(0)
    assert await phase(ledger, vm) == "active", "the lease is to come, by our clock"


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize("fault", MENDED)
async def test_one_that_cannot_be_admitted_takes_no_place_from_others(
    ledger: Desk, fault: str
) -> None:
    """It is the first in the queue; those behind it fill the quota all the same."""
    broken, *others = [await ledger.create() for _ in range(4)]
    await change(ledger, broken, fault)
    before = count("admission")
    await admitting.hold_round(ledger.context)
    assert [await phase(ledger, vm) for vm in others[:2]] == ["provisioning"] * 2
    assert await phase(ledger, others[2]) == "waiting"
    assert await phase(ledger, broken) in ("requested", "waiting")
    assert count("admission") > before
    await change(ledger, broken, MENDED[fault])
    for vm in others[:2]:
        await change(ledger, vm, "phase = 'deleted'")
    async with ledger.database.connection() as connection:
        await connection.execute("UPDATE usage SET amount = 0")
    await admitting.hold_round(ledger.context)
    assert await phase(ledger, broken) == "provisioning"


@pytest.mark.usefixtures("long_pause")
async def test_one_that_cannot_be_admitted_says_so(ledger: Desk) -> None:
    """While it can be read, and once: later rounds leave it alone until its time comes."""
    vm = await ledger.create()
    await change(ledger, vm, ODD_SPEC)
    before = count("admission")
    for _ in range(3):
        await admitting.hold_round(ledger.context)
    state = await ledger.state(vm)
    assert (state.phase, state.resource.status.reason) == (Phase.WAITING, Reason.INTERNAL_ERROR)
    assert state.resource.status.message
    assert count("admission") == before + 1


async def test_one_that_cannot_be_told_why_it_waits_stops_no_other(ledger: Desk) -> None:
    """Those that wait are told side by side."""
    running = [await ledger.create() for _ in range(2)]
    broken, other = [await ledger.create() for _ in range(2)]
    await change(ledger, broken, UNREADABLE)
    await admitting.hold_round(ledger.context)
    assert [await phase(ledger, vm) for vm in running] == ["provisioning"] * 2
    state = await ledger.state(other)
    assert state.resource.status.reason is Reason.QUOTA_EXCEEDED


@pytest.mark.usefixtures("long_pause")
async def test_what_cannot_be_read_is_not_inspected(ledger: Desk) -> None:
    """All others are, and it is told of once until its time comes again."""
    broken, good = [await active(ledger) for _ in range(2)]
    await change(ledger, broken, UNREADABLE)
    before = count("inspections")
    for _ in range(2):
        await inspections.inspect_living(ledger.context)
    for command in ledger.take("InspectVms"):
        assert isinstance(command.message, InspectVms)
        assert [vm.resource_id for vm in command.message.vms] == [good]
    assert count("inspections") == before + 1
