"""The rounds of admission: what waits is looked at together, by one replica at a time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any, NoReturn

import msgspec
import structlog

from services.scheduler import admission, cloud_health, full_clouds, workflow
from services.scheduler.admission import Admission
from services.scheduler.cloud_health import Health
from services.scheduler.context import Context, Recording
from services.scheduler.estimates import shown_position
from services.scheduler.ledger import Transaction, utc_now
from services.scheduler.needs import NOTHING_NEEDED, Named, needs_of
from services.scheduler.placement import Candidate, Choice
from services.scheduler.queues import Held, Share, Waiting
from services.scheduler.state import Decision, ResourceState
from services.scheduler.usage import building_on, returns_of, usage_of
from services.scheduler.walk import Walk
from services.scheduler.workflows import WORKFLOWS
from shared.contract.kinds import references_of
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Phase, Queue
from shared.runtime.errors import TemporaryError

log = structlog.get_logger()
#: Without a wake-up, a round is held so often (s): another replica may have died after a commit.
INTERVAL = 1.0
#: How many of each tenant's waiting one round looks at: a burst of one hides no other's.
LIMIT = 1000
#: Of all time, rounds take half at most: with many in the queue one costs, and each event asks for
#: one. This is the longest pause that follows from it (s).
LONGEST_PAUSE = 1.0
#: What will be the same next time.
_FOR_GOOD = frozenset({Reason.NO_CLOUD, Reason.NO_STORE, Reason.REFERENCE_NOT_FOUND})
_LOCK = 0x434F4C4F  # "COLO": the advisory lock of admission
_QUEUES = """
SELECT id, kind, tenant, phase, demand, state->'resource'->'spec' AS spec,
    state->'refusals' AS refusals, state->'left_behind' AS left_behind,
    ARRAY[shown->>'reason', shown->>'message', shown->'queue'->>'position',
        shown->'queue'->>'estimated_start'] AS told
FROM (
    SELECT *, row_number() OVER (PARTITION BY tenant ORDER BY id) AS place,
        state->'resource'->'status' AS shown
    FROM resources WHERE phase IN ('requested', 'waiting')) AS queues
WHERE place <= $1 ORDER BY id
"""
_NAMED = "SELECT id, tenant, phase, cloud FROM resources WHERE id = ANY($1)"
_FREE = """
SELECT id FROM resources WHERE id = ANY($1) AND phase IN ('requested', 'waiting')
ORDER BY id FOR UPDATE SKIP LOCKED
"""


async def run(context: Context) -> NoReturn:
    """Hold rounds for ever; a database outage only delays the next."""
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(context.admission_wanted.wait(), INTERVAL)
        context.admission_wanted.clear()
        began = time.monotonic()
        try:
            await hold_round(context)
        except TemporaryError as error:
            log.warning("admission waits", error=str(error))
            await asyncio.sleep(INTERVAL)
        await asyncio.sleep(min(time.monotonic() - began, LONGEST_PAUSE))


async def hold_round(context: Context) -> None:
    """Let start who may, tell the others why they wait.

    Only what changes is locked; what is locked by others is left to the next round, and then the
    round is decided without it.
    """
    async with context.database.connection() as connection:
        if not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM resources WHERE phase IN ('requested', 'waiting'))"
        ):
            return
    async with context.recording() as recording:
        tx = recording.tx
        await tx.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        rows = await tx.fetch(_QUEUES, LIMIT)
        named = await _named(tx, rows)
        waiting = [_waiting(row, named) for row in rows]
        told = {row["id"]: row["told"] for row in rows if row["phase"] == Phase.WAITING}
        shares = await _shares(tx, context, waiting)
        known = [one for one in waiting if one.tenant in shares]
        clouds = await candidates(tx, context)
        while True:
            outcome = admission.admit(known, shares, clouds, utc_now())
            starting = await _free(tx, _leaving(outcome))
            if len(starting) == len(_leaving(outcome)):
                break
            busy = set(_leaving(outcome)) - starting
            known = [one for one in known if one.id not in busy]
        news = [one for one in outcome.held if told.get(one.id) != _told(one)]
        free = await _free(tx, [one.id for one in news])
        outcome = replace(outcome, held=tuple(one for one in news if one.id in free))
        await _record(outcome, context, recording)


def _leaving(outcome: Admission) -> list[str]:
    """Those that don't wait any more: they start, or fail."""
    decided = (*outcome.admitted, *outcome.hopeless, *outcome.too_large)
    return [resource_id for resource_id, _ in decided]


def _told(held: Held) -> list[str | None]:
    """What the ledger says of one that was held, in the form of `_QUEUES`."""
    start = None if held.estimated_start is None else msgspec.to_builtins(held.estimated_start)
    return [held.reason.value, held.message, str(shown_position(held.position)), start]


async def _free(tx: Transaction, ids: Sequence[str]) -> set[str]:
    """Lock those of these that still wait and that nobody else has locked."""
    if not ids:
        return set()
    return {row["id"] for row in await tx.fetch(_FREE, list(ids))}


async def _named(tx: Transaction, rows: Sequence[Any]) -> dict[str, Named]:
    """What those that wait name of other resources: hardly any do."""
    ids = {one for row in rows for one in references_of(row["kind"], row["spec"]).values()}
    if not ids:
        return {}
    found = await tx.fetch(_NAMED, sorted(ids))
    return {row["id"]: Named(row["tenant"], Phase(row["phase"]), row["cloud"]) for row in found}


def _waiting(row: Any, named: Mapping[str, Named]) -> Waiting:
    spec, references = row["spec"], references_of(row["kind"], row["spec"])
    return Waiting(
        id=row["id"],
        tenant=row["tenant"],
        demand=row["demand"],
        arch=spec.get("arch"),
        refusals=msgspec.convert(row["refusals"] or {}, dict[str, Problem]),
        left=tuple(one["cloud"] for one in row["left_behind"] or ()),
        kind=row["kind"],
        needs=needs_of(row["tenant"], references, named) if references else NOTHING_NEEDED,
    )


async def _shares(
    tx: Transaction, context: Context, waiting: Sequence[Waiting]
) -> dict[str, Share]:
    queues = {name: list(queue) for name, queue in groupby(sorted(waiting, key=_tenant), _tenant)}
    used = await usage_of(tx, list(queues))
    gates = await full_clouds.gates_of(tx, list(queues))
    shares = {}
    for name in queues:
        tenant = context.tenants.by_name(name)
        if tenant is not None:
            shares[name] = Share(
                weight=tenant.weight,
                quota=tenant.quota,
                used=used[name],
                clouds=tuple(tenant.projects),
                gates=gates[name],
                stores=context.tenants.stores,
            )
    # Leases matter only to those that the quota may hold up: hardly ever anybody.
    short = [name for name, share in shares.items() if share.falls_short(queues[name])]
    returns = await returns_of(tx, short)
    return shares | {name: replace(shares[name], returns=returns[name]) for name in short}


def _tenant(one: Waiting) -> str:
    return one.tenant


async def candidates(tx: Transaction, context: Context) -> dict[str, Candidate]:
    """Every cloud and store that some tenant may use, as it is now."""
    building, now = await building_on(tx), utc_now()
    healths = await cloud_health.healths(tx)
    found = {}
    for name in (*context.tenants.clouds, *context.tenants.stores):
        health = healths.get(name) or Health(name)
        found[name] = Candidate(
            place=name,
            building=building.get(name, 0),
            limit=context.settings.max_building,
            recent_failures=health.recent(now),
            archs=context.tenants.archs(name),
            rest=health.rest(now),
        )
    return found


async def _record(outcome: Admission, context: Context, recording: Recording) -> None:
    decide: dict[str, Callable[[ResourceState], Decision]] = {}
    for resource_id, choice in outcome.admitted:
        decide[resource_id] = partial(_admit, choice=choice)
    for resource_id, choice in outcome.hopeless:
        problem = Problem(
            title=choice.reason.value.replace("_", " ").capitalize(),
            detail=choice.message,
            reason=choice.reason,
            retryable=choice.reason not in _FOR_GOOD,
        )
        decide[resource_id] = partial(_refuse, problem=problem)
    for resource_id, words in outcome.too_large:
        problem = Problem(title="Over the whole quota", detail=words, reason=Reason.QUOTA_EXCEEDED)
        decide[resource_id] = partial(_refuse, problem=problem)
    for held in outcome.held:
        decide[held.id] = partial(_hold, held=held)
    tx, ledger = recording.tx, context.ledger
    states = await ledger.lock_all(tx, list(decide))
    decided = [(states[one], decide[one](states[one])) for one in decide]
    recording.send(await ledger.save_all(tx, decided))
    await full_clouds.note_tries(tx, outcome.tried)
    await cloud_health.note_probes(tx, outcome.probed, utc_now())


def _admit(state: ResourceState, choice: Choice) -> Decision:
    if choice.placement is None:
        raise ValueError(f"{state.resource.id} has no place")
    definition = WORKFLOWS[state.resource.kind]
    return workflow.admit(state, definition, utc_now(), choice.placement, choice.alternatives)


def _refuse(state: ResourceState, problem: Problem) -> Decision:
    return workflow.no_place_left(state, WORKFLOWS[state.resource.kind], utc_now(), problem)


def _hold(state: ResourceState, held: Held) -> Decision:
    walk = Walk(state, WORKFLOWS[state.resource.kind], utc_now())
    position = shown_position(held.position)
    queue = Queue(position=position, estimated_start=held.estimated_start)
    walk.change_status(phase=Phase.WAITING, queue=queue)
    walk.explain(held.reason, held.message)
    return walk.decision()
