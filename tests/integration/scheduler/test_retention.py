"""What the ledger forgets, and what it never does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.scheduler import retention
from shared.contract.resources import Phase, Verb
from tests.integration.scheduler.desk import Desk, desk


@pytest.fixture
async def ledger(ledger_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """The scheduler's rooms on an empty ledger; what ended is kept for 10 days, and one more."""
    quotas = {"bigtop": {"vms": 50}}
    async with desk(ledger_dsn, tmp_path, quotas, retention_days=10, inbox_days=2) as made:
        yield made


async def _age(ledger: Desk, age: timedelta) -> None:
    async with ledger.database.connection() as connection:
        await connection.execute(
            "UPDATE resources SET ended_at = ended_at - $1::interval,"
            " updated_at = updated_at - $1::interval, created_at = created_at - $1::interval",
            age,
        )
        await connection.execute("UPDATE inbox SET received_at = received_at - $1::interval", age)


async def _ids(ledger: Desk) -> set[str]:
    async with ledger.database.connection() as connection:
        return {row["id"] for row in await connection.fetch("SELECT id FROM resources")}


async def test_what_ended_long_ago_is_forgotten_in_batches(
    ledger: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only after its time, and never what has not ended, however old."""
    monkeypatch.setattr(retention, "BATCH", 2)
    living = await ledger.create()
    ended = [await ledger.create() for _ in range(5)]
    for vm in ended:
        await ledger.request(Verb.DELETE, vm, "bigtop")
    await _age(ledger, timedelta(days=10, hours=23))
    await retention.forget(ledger.context)
    assert await _ids(ledger) == {living, *ended}
    await _age(ledger, timedelta(hours=2))
    await retention.forget(ledger.context)
    assert await _ids(ledger) == {living}
    assert (await ledger.state(living)).phase is Phase.REQUESTED


async def test_when_a_resource_ended_is_not_moved_by_what_is_asked_of_it_later(
    ledger: Desk,
) -> None:
    """A verb on what is deleted is refused on its record, and keeps it no longer."""
    vm = await ledger.create()
    await ledger.request(Verb.DELETE, vm, "bigtop")
    await _age(ledger, timedelta(days=12))
    await ledger.request(Verb.REBOOT, vm, "bigtop", operation_id="late")
    assert (await ledger.state(vm)).resource.status.operations
    await retention.forget(ledger.context)
    assert await _ids(ledger) == set()


async def test_what_an_older_version_ended_is_forgotten_too(ledger: Desk) -> None:
    """While replicas are being replaced, some don't note when a resource ended."""
    vm = await ledger.create()
    await ledger.request(Verb.DELETE, vm, "bigtop")
    await _age(ledger, timedelta(days=12))
    async with ledger.database.connection() as connection:
        await connection.execute("UPDATE resources SET ended_at = NULL")
    await retention.forget(ledger.context)
    assert await _ids(ledger) == set()


async def test_the_inbox_forgets_all_that_is_old_enough(ledger: Desk) -> None:
    """However much came in between: nothing of it is left for the next round."""
    async with ledger.database.connection() as connection:
        await connection.execute(
            "INSERT INTO inbox (tenant, source, id) SELECT 'bigtop', 's', n::text"
            " FROM generate_series(1, 12000) AS n"
        )
    await _age(ledger, timedelta(days=3))
    await ledger.create()
    await retention.forget(ledger.context)
    async with ledger.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM inbox") == 1
