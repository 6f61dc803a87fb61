"""Inspections: one command per worker, place and interval asks about all that is waited for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.scheduler import push
from services.scheduler.context import Context
from services.scheduler.definitions import Inspection, WorkflowDefinition
from services.scheduler.ledger import Ledger, utc_now
from services.scheduler.state import ResourceState
from services.scheduler.workflows import WORKFLOWS, places_of
from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.outgoing import OutgoingMessage
from shared.runtime import tracing
from shared.runtime.tenants import NOBODY

#: An inspection that has not started before the next one is on its way is useless; but it has at
#: least so long (seconds), for others of its cloud may be before it.
SHORTEST_LIFE = 5.0


@dataclass(frozen=True)
class Look:
    """Which resources of a cloud are to be looked at.

    Of the fast ones those ``quiet`` so long, of those that are nearly proven (soon) those for which
    nothing has come for ``pause``.
    """

    inspections: tuple[str, ...]
    quiet: timedelta = timedelta()
    pause: timedelta = timedelta()


_ALL_WAITS = Look(("fast", "soon"))


async def inspect_waiting(context: Context) -> None:
    """Ask about everything with an open wait.

    Where the cloud tells by itself, only about what it doesn't tell, and rarely about all that has
    been quiet for long.
    """
    settings = context.settings
    rarely = settings.inspect_pushed_seconds
    async with context.database.transaction() as tx:
        trusted = await push.trusted(tx)
        # Their rows are locked by name, as everywhere.
        due = {cloud for cloud in sorted(trusted) if await push.time_for_all(tx, cloud, rarely)}
    quiet = timedelta(seconds=rarely)
    # What is missing of a proof is mostly told a moment later.
    pause = timedelta(seconds=settings.inspect_fast_seconds)
    looks = dict.fromkeys(_places(context) - trusted, _ALL_WAITS)
    looks |= {cloud: Look(("soon",), pause=pause) for cloud in trusted}
    looks |= {cloud: Look(("soon", "fast"), quiet, pause) for cloud in due}
    await _inspect(context, looks, settings.inspect_fast_seconds)


async def inspect_living(context: Context) -> None:
    """Ask about everything alive: what was removed behind our back shows up."""
    looks = dict.fromkeys(_places(context), Look(("slow",)))
    await _inspect(context, looks, context.settings.inspect_slow_seconds)


async def _inspect(context: Context, looks: Mapping[str, Look], interval: float) -> None:
    life = timedelta(seconds=max(SHORTEST_LIFE, interval))
    for definition in WORKFLOWS.values():
        for place in sorted(looks.keys() & set(places_of(context.tenants, definition))):
            await _inspect_place(context, definition, place, looks[place], life)


def _places(context: Context) -> set[str]:
    return set(context.tenants.placements())


async def _inspect_place(
    context: Context, definition: WorkflowDefinition, place: str, look: Look, life: timedelta
) -> None:
    """One command for each `INSPECTED_AT_ONCE` resources and each who is asked of them."""
    ledger, kind, after = context.ledger, definition.kind, ""
    while True:
        async with context.recording() as recording:
            states, more = await ledger.inspected(
                recording.tx, kind, place, look.inspections, after, look.quiet, look.pause
            )
            for inspection in definition.inspections:
                for where, seen_there in _by_place(inspection, states).items():
                    recording.send([_order(ledger, inspection, where, seen_there, life)])
        if more is None:
            return
        after = more


def _by_place(
    inspection: Inspection, states: Sequence[ResourceState]
) -> dict[str, list[ResourceState]]:
    found: defaultdict[str, list[ResourceState]] = defaultdict(list)
    for state in states:
        place = inspection.place(state)
        if place is not None:
            found[place].append(state)
    return found


def _order(
    ledger: Ledger,
    inspection: Inspection,
    place: str,
    states: Sequence[ResourceState],
    life: timedelta,
) -> OutgoingMessage:
    """It is about many requests: a trace of its own, which what is seen is linked to."""
    command = inspection.command(place, states)
    with tracing.span("inspect", parent=None):
        envelope = envelope_for(
            command,
            source=ledger.source,
            subject=f"{inspection.worker}/{place}",
            tenant=NOBODY,
            traceparent=tracing.traceparent(),
            not_after=utc_now() + life,
        )
    return outgoing.command(inspection.worker, envelope, command)
