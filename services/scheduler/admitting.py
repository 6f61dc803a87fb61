"""The rounds of admission: what waits is looked at together, by one replica at a time.

One that can't be decided about is set aside, and the round is decided without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any, NoReturn

import msgspec
import structlog

from services.scheduler import (
    admission,
    cloud_health,
    full_clouds,
    node_inventories,
    scarce_nodes,
    workflow,
)
from services.scheduler.admission import Admission
from services.scheduler.cloud_health import Health
from services.scheduler.context import Context, Recording
from services.scheduler.deciding import Decide, Made, decide_each, decide_one, record_all
from services.scheduler.estimates import shown_position
from services.scheduler.ledger import Transaction, utc_now
from services.scheduler.needs import Named, is_young, needs_of
from services.scheduler.placement import Candidate, Choice
from services.scheduler.queues import Held, Share, Waiting
from services.scheduler.setbacks import Setbacks
from services.scheduler.state import Decision, ResourceState
from services.scheduler.usage import building_on, lock_admission, returns_of, usage_of
from services.scheduler.walk import Walk
from services.scheduler.workflows import WORKFLOWS
from shared.contract.kinds import KINDS, references_of
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Phase, Queue, Sort
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
#: The words of a spec that are about networks.
_OF_NETWORKS = ("network", "floating_ip", "security_groups")
#: What is told of one that can't be decided about; the log has the rest.
_FAULT = "Could not be decided about, by a fault of Colobus itself. It is tried again."
_QUEUES = """
SELECT id, kind, tenant, phase, demand, created_at, state->'resource'->'spec' AS spec,
    state->'refusals' AS refusals, state->'left_behind' AS left_behind,
    ARRAY[shown->>'reason', shown->>'message', shown->'queue'->>'position',
        shown->'queue'->>'estimated_start'] AS told
FROM (
    SELECT *, row_number() OVER (PARTITION BY tenant ORDER BY id) AS place,
        state->'resource'->'status' AS shown
    FROM resources WHERE phase IN ('requested', 'waiting')) AS queues
WHERE place <= $1 ORDER BY id
"""
_NAMED = """
SELECT id, tenant, phase, COALESCE(state #>> '{resource,status,placement,store}',
    state #>> '{resource,status,placement,cloud}') AS place
FROM resources WHERE id = ANY($1)
"""
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

    Only what changes is locked; what is locked by others, or can't be decided about, is left to a
    later round, and then this one is decided without it.
    """
    async with context.database.connection() as connection:
        if not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM resources WHERE phase IN ('requested', 'waiting'))"
        ):
            return
    async with context.recording() as recording:
        tx = recording.tx
        await lock_admission(tx)
        rows = await tx.fetch(_QUEUES, LIMIT)
        named = await _named(tx, rows)
        waiting = _readable(rows, named, context.waiting_aside)
        told = {row["id"]: row["told"] for row in rows if row["phase"] == Phase.WAITING}
        shares = await _shares(tx, context, waiting)
        known = [one for one in waiting if one.tenant in shares]
        clouds, scarce = await candidates(tx, context), await scarce_nodes.gates(tx)
        nodes = await node_inventories.known(tx, node_inventories.lifetime(context.settings))
        faulty: list[ResourceState] = []
        while True:
            outcome = admission.admit(known, shares, clouds, utc_now(), scarce, nodes)
            leaving = _leaving(outcome)
            made, broken = await _decide(recording, context, leaving)
            faulty += broken
            if len(made) == len(leaving):
                break
            known = _without(known, leaving.keys() - {one.before.resource.id for one in made})
        news = [one for one in outcome.held if told.get(one.id) != _told(one)]
        held, broken = await _decide(
            recording, context, {one.id: partial(_hold, held=one) for one in news}
        )
        explained = _explain([*faulty, *broken], context)
        recording.send(await record_all(tx, context.ledger, [*made, *held, *explained]))
        await full_clouds.note_tries(tx, outcome.tried)
        await scarce_nodes.note_tries(tx, outcome.tried_nodes, outcome.sent)
        await cloud_health.note_probes(tx, outcome.probed, utc_now())


async def _decide(
    recording: Recording, context: Context, decide: Mapping[str, Decide]
) -> tuple[list[Made], list[ResourceState]]:
    """Decide about those that nobody else has locked; see `decide_each`."""
    free = await _free(recording.tx, list(decide))
    wanted = {one: decide[one] for one in decide if one in free}
    return await decide_each(recording.tx, context.ledger, wanted, context.waiting_aside)


def _without(known: Sequence[Waiting], ids: Collection[str]) -> list[Waiting]:
    """Those that are locked by others, or can't be decided about, are left to a later round."""
    return [one for one in known if one.id not in ids]


def _explain(faulty: Sequence[ResourceState], context: Context) -> list[Made]:
    """Those about which the round could not decide wait on, and are told so where that can be."""
    ledger, aside = context.ledger, context.waiting_aside
    told = (decide_one(ledger, state, _hold_back, aside) for state in faulty)
    return [one for one in told if one is not None]


def _leaving(outcome: Admission) -> dict[str, Decide]:
    """Those that don't wait any more: they start, or fail."""
    decide: dict[str, Decide] = {}
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
    return decide


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
    ids = {one for row in rows for one in _references(row)}
    if not ids:
        return {}
    found = await tx.fetch(_NAMED, sorted(ids))
    return {row["id"]: Named(row["tenant"], Phase(row["phase"]), row["place"]) for row in found}


def _references(row: Any) -> Sequence[str]:
    """What it names, as far as it can be read: `_readable` sets aside what can't."""
    known = row["kind"] in KINDS and isinstance(row["spec"], dict)
    named = references_of(row["kind"], row["spec"]).values() if known else ()
    return [one for one in named if isinstance(one, str)]


def _readable(rows: Sequence[Any], named: Mapping[str, Named], aside: Setbacks) -> list[Waiting]:
    """Those that wait, but for those that are set aside, or are so now."""
    waiting = []
    for row in rows:
        if aside.aside(row["id"]):
            continue
        try:
            waiting.append(_waiting(row, named))
        except Exception as error:  # noqa: BLE001 - this row's, whatever it is
            aside.note(row["id"], error)
    return waiting


def _waiting(row: Any, named: Mapping[str, Named]) -> Waiting:
    spec, references = row["spec"], references_of(row["kind"], row["spec"])
    young = is_young(row["created_at"], utc_now())
    return Waiting(
        id=row["id"],
        tenant=row["tenant"],
        demand=msgspec.convert(row["demand"], dict[str, int]),
        arch=spec.get("arch"),
        flavor=spec.get("flavor"),
        refusals=msgspec.convert(row["refusals"] or {}, dict[str, Problem]),
        left=tuple(one["cloud"] for one in row["left_behind"] or ()),
        kind=row["kind"],
        networked=any(spec.get(word) for word in _OF_NETWORKS),
        needs=needs_of(row["tenant"], references, named, young=young),
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
                places={sort: context.tenants.places(sort, tenant) for sort in Sort},
                gates=gates[name],
            )
    # Leases matter only to those that the quota may hold up: hardly ever anybody.
    short = [name for name, share in shares.items() if share.falls_short(queues[name])]
    returns = await returns_of(tx, short)
    return shares | {name: replace(shares[name], returns=returns[name]) for name in short}


def _tenant(one: Waiting) -> str:
    return one.tenant


async def candidates(tx: Transaction, context: Context) -> dict[str, Candidate]:
    """Every place that some tenant may use, as it is now."""
    building, now = await building_on(tx), utc_now()
    healths = await cloud_health.healths(tx)
    found = {}
    for name, placement in context.tenants.placements().items():
        health = healths.get(name) or Health(name)
        found[name] = Candidate(
            placement=placement,
            building=building.get(name, 0),
            limit=context.settings.max_building,
            recent_failures=health.recent(now),
            archs=context.tenants.archs(name),
            rest=health.rest(now),
        )
    return found


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


def _hold_back(state: ResourceState) -> Decision:
    walk = Walk(state, WORKFLOWS[state.resource.kind], utc_now())
    walk.change_status(phase=Phase.WAITING, queue=None)
    walk.explain(Reason.INTERNAL_ERROR, _FAULT)
    return walk.decision()
