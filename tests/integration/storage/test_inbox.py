"""The inbox on the real database."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from shared.contract.codec import Envelope, envelope_for
from shared.contract.messages import GetQuota
from shared.storage import Database, first_delivery, forget_old
from tests.integration.storage.observing import Observer

MESSAGE = envelope_for(GetQuota(), source="ci", subject="vm-1", tenant="bigtop", id="1")


async def deliver(database: Database, envelope: Envelope) -> bool:
    """One delivery, in a transaction of its own."""
    async with database.transaction() as tx:
        return await first_delivery(tx, envelope)


async def test_only_the_first_delivery_counts(database: Database) -> None:
    """The same message again is recognized."""
    assert [await deliver(database, MESSAGE) for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("field", ["tenant", "source", "id"])
async def test_tenant_source_and_id_together_name_a_message(database: Database, field: str) -> None:
    """Another tenant's or source's message of the same id is another message."""
    await deliver(database, MESSAGE)
    other = msgspec.structs.replace(MESSAGE, **{field: "other"})
    assert await deliver(database, other)


async def test_of_deliveries_at_once_one_is_the_first(database: Database) -> None:
    """However many replicas get it at the same time, one takes it."""
    outcomes = await asyncio.gather(*(deliver(database, MESSAGE) for _ in range(8)))
    assert sorted(outcomes) == [False] * 7 + [True]


async def test_a_delivery_whose_effect_failed_was_none(database: Database) -> None:
    """Rolled back with its effect, the message is new when it comes again."""
    with pytest.raises(LookupError):
        await _deliver_and_fail(database)
    assert await deliver(database, MESSAGE)


async def _deliver_and_fail(database: Database) -> None:
    async with database.transaction() as tx:
        await first_delivery(tx, MESSAGE)
        raise LookupError


async def test_old_messages_are_forgotten(database: Database, observer: Observer) -> None:
    """Only what is older than asked goes."""
    await deliver(database, MESSAGE)
    await deliver(database, msgspec.structs.replace(MESSAGE, id="2"))
    await observer.execute(
        "UPDATE inbox SET received_at = now() - interval '2 days' WHERE id = '1'"
    )
    async with database.transaction() as tx:
        assert await forget_old(tx, timedelta(days=1)) == 1
    assert await observer.fetchval("SELECT id FROM inbox") == "2"
