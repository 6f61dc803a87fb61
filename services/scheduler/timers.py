"""What time brings: a resource's timers, and the scheduler's own recurring rounds.

Any replica may find a timer due; it takes the resource's lock and then the timer's row, so a timer
rings once however many look. One that can't be rung is put off, and the others ring.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NoReturn

import structlog

from services.scheduler import cloud_health, workflow
from services.scheduler.context import Context
from services.scheduler.ledger import utc_now
from services.scheduler.workflows import WORKFLOWS
from shared.runtime.errors import TemporaryError

log = structlog.get_logger()
#: How often due timers are looked for, in seconds: the grain of all deadlines and retries.
INTERVAL = 0.25
_BATCH = 200

Round = Callable[[Context], Awaitable[None]]


async def run(context: Context) -> NoReturn:
    """Ring what is due, for ever; a database outage only delays."""
    while True:
        try:
            rung = await ring_due(context)
        except TemporaryError as error:
            log.warning("timers wait", error=str(error))
            rung = 0
        if rung < _BATCH:
            await asyncio.sleep(INTERVAL)


async def ring_due(context: Context) -> int:
    """Ring the timers that are due; returns how many were found."""
    async with context.database.connection() as connection:
        due = await connection.fetch(
            "SELECT resource_id, name FROM timers WHERE due_at <= now() ORDER BY due_at LIMIT $1",
            _BATCH,
        )
    for row in due:
        await _ring_or_put_off(context, row["resource_id"], row["name"])
    return len(due)


async def _ring_or_put_off(context: Context, resource_id: str, name: str) -> None:
    timer, aside = f"{resource_id}/{name}", context.timers_aside
    try:
        await _ring(context, resource_id, name)
    except TemporaryError:
        raise
    except Exception as error:  # noqa: BLE001 - this row's, whatever it is
        await _put_off(context, resource_id, name, aside.note(timer, error))
    else:
        aside.over(timer)


async def _put_off(context: Context, resource_id: str, name: str, seconds: float) -> None:
    """Ring it later; if it has been set anew meanwhile, then."""
    async with context.database.transaction() as tx:
        await tx.execute(
            "UPDATE timers SET due_at = now() + $3"
            " WHERE resource_id = $1 AND name = $2 AND due_at <= now()",
            resource_id,
            name,
            timedelta(seconds=seconds),
        )


async def _ring(context: Context, resource_id: str, name: str) -> None:
    async with context.recording() as recording:
        state = await context.ledger.lock(recording.tx, resource_id)
        rung = await recording.tx.fetchval(
            "DELETE FROM timers WHERE resource_id = $1 AND name = $2 AND due_at <= now()"
            " RETURNING true",
            resource_id,
            name,
        )
        if state is None or not rung:
            return
        definition = WORKFLOWS[state.resource.kind]
        now = utc_now()
        healths = await cloud_health.healths(recording.tx) if name.startswith("retry/") else {}
        resting = [cloud for cloud, health in healths.items() if health.rests_at(now)]
        decision = workflow.ring(state, definition, now, name, resting)
        recording.send(await context.ledger.save(recording.tx, state, decision))
    context.admission_wanted.set()


async def run_round(context: Context, name: str, seconds: float, do: Round) -> NoReturn:
    """Do a recurring thing every ``seconds``, whichever replica comes first."""
    async with context.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO rounds (name, due_at) VALUES ($1, now()) ON CONFLICT DO NOTHING", name
        )
    while True:
        try:
            if await _claim(context, name, seconds):
                await do(context)
        except TemporaryError as error:
            log.warning("round waits", round=name, error=str(error))
        await asyncio.sleep(min(seconds / 2, 5))


async def _claim(context: Context, name: str, seconds: float) -> bool:
    async with context.database.transaction() as tx:
        claimed = await tx.fetchval(
            "UPDATE rounds SET due_at = now() + $2 WHERE name = $1 AND due_at <= now()"
            " RETURNING true",
            name,
            timedelta(seconds=seconds),
        )
    return bool(claimed)
