"""Looking at, and disturbing, the database from the side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

if TYPE_CHECKING:
    Observer: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Observer = asyncpg.Connection


async def cut_all_others(observer: Observer) -> int:
    """End all sessions in this database but the observer's, as an administrator would."""
    count = await observer.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    return int(count)


async def until(observer: Observer, condition: str, seconds: float = 30) -> None:
    """Wait until the SQL ``condition`` holds."""
    async with asyncio.timeout(seconds):
        while not await observer.fetchval(f"SELECT {condition}"):  # noqa: ASYNC110 - no event here
            await asyncio.sleep(0.02)


async def until_empty(observer: Observer, seconds: float = 30) -> None:
    """Wait until no row is left in the outbox."""
    await until(observer, "NOT EXISTS (SELECT FROM outbox)", seconds)


async def expire_claims(observer: Observer) -> None:
    """Make all rows of the outbox look as if they were left behind some time ago."""
    await observer.execute("UPDATE outbox SET claimed_until = now() - interval '1 second'")
