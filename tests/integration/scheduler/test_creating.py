"""Requests that come at once are recorded together, and each as if it came alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.scheduler import admitting
from shared.contract.identifiers import new_id
from shared.contract.resources import Phase, Verb
from shared.runtime.errors import TemporaryError
from tests.integration.scheduler.desk import Desk, desk
from tests.integration.scheduler.neighbours import SPEC


@pytest.fixture
async def ledger(ledger_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """The scheduler's rooms on an empty ledger."""
    async with desk(ledger_dsn, tmp_path, {"bigtop": {"vms": 50}, "openlab": {"vms": 3}}) as made:
        yield made


async def _transactions(ledger: Desk) -> int:
    async with ledger.database.connection() as connection:
        return int(await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM resources"))


async def test_a_burst_of_requests_shares_its_commits(ledger: Desk) -> None:
    """All are there; the first went alone, or with one other, the rest together."""
    made = await asyncio.gather(*(ledger.create() for _ in range(20)))
    assert set(await ledger.states()) == set(made)
    assert await _transactions(ledger) <= 4


async def test_the_same_request_twice_in_a_burst_makes_one(ledger: Desk) -> None:
    """Delivered again, or sent again under another id: one resource, created once."""
    vm = new_id("vm")
    await asyncio.gather(
        ledger.create(vm=vm, id="a"),
        ledger.create(vm=vm, id="a"),
        ledger.create(vm=vm, id="b"),
        ledger.create(),
    )
    assert len(await ledger.states()) == 2
    assert (await ledger.state(vm)).resource.revision == 1
    await ledger.create(vm=vm, id="a")
    assert (await ledger.state(vm)).resource.revision == 1


async def test_another_tenants_id_is_not_taken_over(ledger: Desk) -> None:
    """In a burst, too, one of them has it, and the other is told that there is no such thing."""
    vm = new_id("vm")
    outcomes = await asyncio.gather(
        ledger.create("bigtop", vm=vm), ledger.create("openlab", vm=vm), return_exceptions=True
    )
    assert [type(one) for one in outcomes] == [str, TemporaryError]
    assert (await ledger.state(vm)).resource.tenant == "bigtop"


async def test_what_all_of_a_batch_hold_is_counted(ledger: Desk) -> None:
    """Usage moves by the sum, for each tenant, up and down again."""
    vms = await asyncio.gather(
        *(ledger.create("bigtop", spec={**SPEC, "floating_ip": True}) for _ in range(5)),
        *(ledger.create("openlab") for _ in range(5)),
    )
    await admitting.hold_round(ledger.context)
    assert await _usage(ledger) == {"bigtop": (5, 5), "openlab": (3, 0)}
    waiting = [vm for vm, one in (await ledger.states()).items() if one.phase is Phase.WAITING]
    assert len(waiting) == 2
    await ledger.request(Verb.DELETE, waiting[0], "openlab")
    assert await _usage(ledger) == {"bigtop": (5, 5), "openlab": (3, 0)}
    assert len(vms) == 10


async def _usage(ledger: Desk) -> dict[str, tuple[int, int]]:
    async with ledger.database.connection() as connection:
        rows = await connection.fetch("SELECT tenant, name, amount FROM usage")
    amounts = {(row["tenant"], row["name"]): row["amount"] for row in rows}
    return {
        tenant: (amounts.get((tenant, "vms"), 0), amounts.get((tenant, "floating_ips"), 0))
        for tenant in ("bigtop", "openlab")
    }
