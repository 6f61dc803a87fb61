"""Censuses: ordered round by round, absorbed part by part, and what follows from them.

The scheduler alone orders the removal of an orphan (decision 0018). Nothing here changes a
resource.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from services.scheduler import holdings, scarce_nodes
from services.scheduler.context import Context, Recording
from services.scheduler.holdings import Scope
from services.scheduler.inspections import SHORTEST_LIFE
from services.scheduler.ledger import Transaction, utc_now
from services.scheduler.metrics import (
    CENSUSES_FAILED,
    ORPHAN_REMOVALS_FAILED,
    ORPHANS_REMOVED,
)
from services.scheduler.origins import check_taken_at, speaker
from services.scheduler.orphans import Known, Seen, Verdict, judge, order_again, removable
from services.scheduler.workflows import WORKFLOWS, places_of
from shared.bus import Delivery, RejectedMessage
from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.kinds import KINDS
from shared.contract.messages import (
    CensusTaken,
    CommandFailed,
    Message,
    OrphanRemoved,
    RemoveOrphan,
    TakeCensus,
)
from shared.contract.problems import Reason
from shared.runtime import tracing
from shared.runtime.tenants import NOBODY

log = structlog.get_logger(__name__)
#: How long an order to remove something may take to start.
ORDER_LIFE = timedelta(seconds=60)
#: How many removals one census may bring about.
ORDERS_AT_ONCE = 50
#: How many ids one line of the log names.
_NAMED = 20
#: Bounds of what a census may say.
_MOST_PARTS = 10_000
_LONGEST = 255
#: {kind: {what: how it is held}}, each in the order of removal.
HOLDS = {kind: definition.holds for kind, definition in WORKFLOWS.items()}
#: The worker that each sort of place is first of all the business of: its census tells of all that
#: is there, but for what the others at that place alone speak of (decision 0044).
_HOSTS = {KINDS[d.kind].sort: d.worker for d in reversed(WORKFLOWS.values())}
_HELD = [(what, held.worker) for holds in HOLDS.values() for what, held in holds.items()]
_GUESTS = {
    definition.worker: tuple(sorted({what for what, of in _HELD if of == definition.worker}))
    for definition in WORKFLOWS.values()
    if definition.worker not in _HOSTS.values()
}
_OF_GUESTS = tuple(what for whats in _GUESTS.values() for what in whats)


def is_guest(worker: str) -> bool:
    """Tell whether a worker is only beside the one that its places are first of all for."""
    return worker in _GUESTS


def series(worker: str, place: str) -> str:
    """Return what the censuses of a worker at a place are kept under: each replaces the last."""
    return f"{worker}/{place}" if worker in _GUESTS else place


def scope(worker: str) -> Scope:
    """Return which things a worker's census tells of."""
    whats = _GUESTS.get(worker)
    return Scope(_OF_GUESTS, alone=False) if whats is None else Scope(whats, alone=True)


# ---- the round


async def order_censuses(context: Context) -> None:
    """Ask each worker what each of its places holds."""
    asked = dict.fromkeys(
        (definition.worker, place)
        for definition in WORKFLOWS.values()
        for place in places_of(context.tenants, definition)
    )
    not_after = utc_now() + timedelta(seconds=max(SHORTEST_LIFE, context.settings.census_seconds))
    async with context.recording() as recording:
        known = [name for worker, place in asked for name in (place, series(worker, place))]
        await holdings.forget_other_places(recording.tx, known)
        await scarce_nodes.forget_other_metals(recording.tx, known)
        idle = await _idle_guests(recording.tx)
        for worker, place in asked:
            if worker in idle:
                continue
            command, subject = TakeCensus(place=place), f"{worker}/{place}"
            # It is about many requests: a trace of its own.
            with tracing.span("census", parent=None):
                _send(context, recording, worker, command, subject, NOBODY, not_after)


async def _idle_guests(tx: Transaction) -> set[str]:
    """Workers beside others that have made nothing here: perhaps none such runs, to be asked."""
    kinds = {name: one.worker for name, one in WORKFLOWS.items() if one.worker in _GUESTS}
    known = await tx.fetch(
        "SELECT asked.kind FROM unnest($1::text[]) AS asked (kind)"
        " WHERE EXISTS (SELECT FROM resources r WHERE r.kind = asked.kind)",
        list(kinds),
    )
    return set(kinds.values()) - {kinds[row["kind"]] for row in known}


def _send(
    context: Context,
    recording: Recording,
    worker: str,
    command: Message,
    subject: str,
    tenant: str,
    not_after: datetime,
) -> None:
    envelope = envelope_for(
        command,
        source=context.ledger.source,
        subject=subject,
        tenant=tenant,
        traceparent=tracing.traceparent(),
        not_after=not_after,
    )
    recording.send([outgoing.command(worker, envelope, command)])


# ---- what workers say


async def absorb_census(delivery: Delivery, event: CensusTaken, context: Context) -> None:
    """A part of a census; with the last one of them it is judged."""
    _check(event)
    place, taken_at = event.place, event.taken_at
    worker = speaker(delivery)
    kept_as = series(worker, place)
    gone: Sequence[tuple[str, str]] = ()
    async with context.recording() as recording:
        tx = recording.tx
        await holdings.lock_place(tx, place)
        if not await holdings.is_news(tx, kept_as, taken_at, event.part):
            return
        await holdings.see(tx, place, taken_at, event.holdings)
        if await holdings.complete(tx, kept_as, taken_at, event.parts):
            left_out = event.left_out
            gone = await holdings.forget_unseen(tx, place, taken_at, scope(worker), left_out)
            suspects = await holdings.suspects(tx, place)
            await _judge(context, recording, suspects)
    for what, verdict in gone:
        ORPHANS_REMOVED.labels(place, what, verdict).inc()


def _check(event: CensusTaken) -> None:
    if not 1 <= event.part <= event.parts <= _MOST_PARTS:
        raise RejectedMessage("part and parts are out of bounds")
    check_taken_at(event.taken_at)
    if len(event.left_out) > _MOST_PARTS:
        raise RejectedMessage("left_out is too long")
    texts = [event.place, *event.left_out]
    for one in event.holdings:
        texts += [one.what, one.id, one.tenant, one.resource_id or ""]
    if any(len(text) > _LONGEST for text in texts):
        raise RejectedMessage("a name is too long")


async def note_removal(delivery: Delivery, event: OrphanRemoved, context: Context) -> None:
    """An object is gone: what could not go before it may be ordered now."""
    del delivery
    async with context.recording() as recording:
        await holdings.lock_place(recording.tx, event.place)
        removed = await holdings.remove(recording.tx, event.place, event.what, event.object_id)
        if removed is not None:
            await _judge(context, recording, [removed[0]])
    if removed is not None:
        ORPHANS_REMOVED.labels(event.place, event.what, removed[1]).inc()
        log.info("orphan removed", what=event.what, object_id=event.object_id)


def count_failure(delivery: Delivery, event: CommandFailed) -> None:
    """A census could not be taken, or an orphan not be removed: a later round does it again."""
    known_reason = event.problem.reason in set(Reason)
    reason = str(event.problem.reason) if known_reason else "failed"
    if event.command == TakeCensus.__name__:
        CENSUSES_FAILED.labels(reason).inc()
    elif event.command == RemoveOrphan.__name__:
        ORPHAN_REMOVALS_FAILED.labels(reason, str(event.retryable).lower()).inc()
        log.warning(
            "orphan not removed", resource=delivery.envelope.subject, detail=event.problem.detail
        )


# ---- the judgement


async def _judge(context: Context, recording: Recording, resource_ids: Sequence[str]) -> None:
    """Say of each thing of these resources what is wrong with it, and order what has to go."""
    tx, now = recording.tx, utc_now()
    margin = timedelta(seconds=context.settings.orphan_margin_seconds)
    things = await holdings.things_of(tx, resource_ids)
    known = await holdings.known_of(tx, resource_ids, HOLDS)
    found: dict[Verdict, list[Seen]] = {}
    for resource_id, seen in things.items():
        for one in seen:
            verdict = judge(one, known.get(resource_id), margin)
            if verdict is one.verdict:
                continue
            await holdings.note_verdict(tx, one, verdict)
            if verdict is not None:
                found.setdefault(verdict, []).append(one)
    for verdict, new in found.items():
        _tell(verdict, new)
    orders = [
        one
        for resource_id, seen in things.items()
        for one in removable(seen, known.get(resource_id), margin, now)
    ]
    for one in orders[:ORDERS_AT_ONCE]:
        await _order(context, recording, one, known[one.resource_id], now)


async def _order(
    context: Context, recording: Recording, one: Seen, known: Known, now: datetime
) -> None:
    await holdings.note_order(recording.tx, one, order_again(one.orders + 1, now))
    command = RemoveOrphan(
        place=one.place, what=one.what, object_id=one.id, resource_id=one.resource_id
    )
    worker = HOLDS[known.kind][one.what].worker
    _send(context, recording, worker, command, one.resource_id, known.tenant, now + ORDER_LIFE)


def _tell(verdict: Verdict, new: Sequence[Seen]) -> None:
    unknown = verdict is Verdict.UNKNOWN
    log.warning(
        "things nobody knows" if unknown else "things that nobody needs",
        verdict=verdict.value,
        count=len(new),
        objects=[_describe(one, unknown) for one in new[:_NAMED]],
    )


def _describe(one: Seen, unknown: bool) -> str:
    """What goes by itself needs no more than its id; what stays is the operator's to look into."""
    words = f"{one.place}/{one.what}/{one.id} of {one.resource_id}"
    shown = [word[:_LONGEST] for word in (one.name, one.status) if word] if unknown else []
    return f"{words} ({', '.join(shown)})" if shown else words
