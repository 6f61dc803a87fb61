"""The ledger's rows: reading a resource under its lock, and recording a decision.

A decision's row, timers, usage and outgoing messages are written in one transaction. Locks are
taken in one order everywhere: (in a round of admission, and for what grows) admission's advisory
lock, then resources (a round skips those that are locked), then the tenants' advisory locks, under
which their usage is changed, then the nodes' one (`scarce_nodes`); so replicas never wait for each
other in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

import msgspec
from asyncpg import Record

from services.scheduler import dependents, full_clouds, scarce_nodes
from services.scheduler.growing import demand
from services.scheduler.metrics import note_change
from services.scheduler.setbacks import Setbacks
from services.scheduler.state import Command, Decision, ResourceState
from services.scheduler.timer_rows import write_timers
from services.scheduler.usage import move_usage
from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.messages import ResourceStatusChanged
from shared.contract.outgoing import OutgoingMessage
from shared.contract.resources import Phase
from shared.runtime import tracing
from shared.storage import Connection

#: How many resources one inspection asks about at most, so that the message keeps its bounds.
INSPECTED_AT_ONCE = 1000
#: A connection in a transaction of the scheduler's.
Transaction = Connection

_decoder = msgspec.json.Decoder(ResourceState)
_SELECT = "SELECT id, state::text AS state FROM resources"
_INSERT = (
    "INSERT INTO resources (id, kind, tenant, phase, demand, state, created_at, updated_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
)
_UPDATE = (
    "UPDATE resources SET phase = $2, cloud = $3, inspection = $4, state = $5, updated_at = $6,"
    " demand = $7,"
    " ended_at = CASE WHEN phase = $2 THEN ended_at"
    " WHEN $2 IN ('deleted', 'failed') THEN $6::timestamptz END WHERE id = $1"
)


class Ledger:
    """Reads and writes resources within a caller's transaction."""

    def __init__(self, installation_id: str) -> None:
        self.source = f"/scheduler/{installation_id}"
        self._not_inspected = Setbacks("inspections")

    async def lock(self, tx: Transaction, resource_id: str) -> ResourceState | None:
        """Return the resource with its row locked, or None when there is none."""
        row = await tx.fetchrow(f"{_SELECT} WHERE id = $1 FOR UPDATE", resource_id)
        return None if row is None else _state(row)

    async def inspected(
        self,
        tx: Transaction,
        kind: str,
        cloud: str,
        inspections: Sequence[str],
        after: str,
        quiet: timedelta = timedelta(),
        pause: timedelta = timedelta(),
    ) -> tuple[list[ResourceState], str | None]:
        """Return the next resources of ``cloud`` that are to be looked at (see `inspection_of`).

        At most `INSPECTED_AT_ONCE`, with ids beyond ``after``; of the ``fast`` ones only those that
        have not changed for as long as ``quiet``, of the ``soon`` ones for ``pause``. With them
        comes the id after which others follow, or None. What can't be read is set aside.
        """
        rows = await tx.fetch(
            # By ids first, so that only those that are taken are read; that 'none' is not wanted
            # is said for the planner, whose index has none of them.
            f"{_SELECT} WHERE id = ANY(ARRAY("  # noqa: S608 - our own words
            " SELECT id FROM resources WHERE kind = $1 AND cloud = $2 AND inspection = ANY($3)"
            " AND id > $4 AND inspection <> 'none'"
            " AND (inspection = 'slow' OR updated_at <= now() -"
            "  CASE inspection WHEN 'fast' THEN $5::interval ELSE $6::interval END)"
            " ORDER BY id LIMIT $7)) ORDER BY id",
            *(kind, cloud, list(inspections), after, quiet, pause, INSPECTED_AT_ONCE),
        )
        after_that = rows[-1]["id"] if len(rows) == INSPECTED_AT_ONCE else None
        rows = [row for row in rows if not self._not_inspected.aside(row["id"])]
        states, unreadable = _states(rows)
        for resource_id, error in unreadable.items():
            self._not_inspected.note(resource_id, error)
        return list(states.values()), after_that

    async def insert(self, tx: Transaction, decision: Decision) -> list[OutgoingMessage]:
        """Record a new resource; returns the messages to be sent."""
        return await self.insert_all(tx, [decision])

    async def insert_all(
        self, tx: Transaction, decisions: Sequence[Decision]
    ) -> list[OutgoingMessage]:
        """Record new resources; returns the messages to be sent, each in its resource's trace."""
        if decisions:
            await tx.executemany(_INSERT, [_new_columns(one.state) for one in decisions])
            await write_timers(tx, decisions)
        messages = []
        for one in decisions:
            with tracing.resumed(one.state.traceparent):
                messages.append(self._status(None, one.state))
        return messages

    async def lock_all(
        self, tx: Transaction, resource_ids: Sequence[str]
    ) -> dict[str, ResourceState]:
        """Return those that there are, by id, with their rows locked."""
        rows = await self._lock(tx, resource_ids)
        return {state.resource.id: state for state in map(_state, rows)}

    async def lock_readable(
        self, tx: Transaction, resource_ids: Sequence[str]
    ) -> tuple[dict[str, ResourceState], dict[str, Exception]]:
        """As `lock_all`; with them comes what is wrong with those that can't be read, by id."""
        return _states(await self._lock(tx, resource_ids))

    async def _lock(self, tx: Transaction, resource_ids: Sequence[str]) -> list[Record]:
        query = f"{_SELECT} WHERE id = ANY($1) ORDER BY id FOR UPDATE"
        return await tx.fetch(query, list(resource_ids))

    async def save(
        self, tx: Transaction, before: ResourceState, decision: Decision
    ) -> list[OutgoingMessage]:
        """Record what was decided; returns the messages to be sent. No change writes nothing."""
        return await self.save_all(tx, [(before, decision)])

    async def save_all(
        self, tx: Transaction, decided: Sequence[tuple[ResourceState, Decision]]
    ) -> list[OutgoingMessage]:
        """Record these, as `write` does; returns their messages."""
        await self.write(tx, decided)
        told = [(before, await dependents.informed(tx, decision)) for before, decision in decided]
        return [one for before, decision in told for one in self.messages(before, decision)]

    async def write(
        self, tx: Transaction, decided: Sequence[tuple[ResourceState, Decision]]
    ) -> None:
        """Record these in order, the same resource perhaps twice.

        Tenants' locks are taken in the order of their names, however many are concerned, and the
        nodes' lock after the last of them.
        """
        changed = [(before, one.state) for before, one in decided if one.state != before]
        if changed:
            await tx.executemany(_UPDATE, [_columns(after) for _, after in changed])
        by_tenant = sorted(changed, key=lambda one: one[0].resource.tenant)
        for tenant, of_tenant in groupby(by_tenant, lambda one: one[0].resource.tenant):
            theirs = list(of_tenant)
            await move_usage(tx, tenant, ((old.resource, new.resource) for old, new in theirs))
            for before, after in theirs:
                await full_clouds.follow(tx, before, after)
                note_change(before.resource, after.resource)
        await scarce_nodes.follow(tx, changed)
        await write_timers(tx, [decision for _, decision in decided])

    def messages(self, before: ResourceState, decision: Decision) -> list[OutgoingMessage]:
        """The messages, in the resource's own trace, whatever led to them (a timer, a round)."""
        state = decision.state
        is_news = state.resource.revision != before.resource.revision
        if not is_news and not decision.commands:
            return []
        with tracing.part_of(state.traceparent, "decide"):
            messages = [self._command(state, command) for command in decision.commands]
            return [*messages, self._status(before, state)] if is_news else messages

    def _command(self, state: ResourceState, command: Command) -> OutgoingMessage:
        resource = state.resource
        envelope = envelope_for(
            command.message,
            source=self.source,
            subject=resource.id,
            tenant=resource.tenant,
            correlationid=state.correlation_id,
            traceparent=tracing.traceparent(),
            step=command.step,
            attempt=command.attempt,
            not_after=command.not_after,
        )
        return outgoing.command(command.worker, envelope, command.message)

    def _status(self, before: ResourceState | None, state: ResourceState) -> OutgoingMessage:
        resource = state.resource
        message = ResourceStatusChanged(
            resource=resource,
            previous_phase=before.phase if before else None,
            callback_url=state.callback_url,
        )
        envelope = envelope_for(
            message,
            source=self.source,
            subject=resource.id,
            tenant=resource.tenant,
            # The same revision is the same event, however often it is told.
            id=f"{resource.id}/{resource.revision}",
            time=resource.updated_at,
            correlationid=state.correlation_id,
            traceparent=tracing.traceparent(),
            sequence=resource.revision,
        )
        return outgoing.status(envelope, message)


def inspection_of(state: ResourceState) -> str:
    """How often the backend is asked: ``fast`` for open waits, ``slow`` for the living.

    ``soon`` is an open wait of which something is still to be proven, or a living one that may be
    in trouble: always looked at often.
    """
    waits = [progress for progress in state.progress.values() if progress.accepted]
    if waits:
        return "soon" if any(progress.unproven for progress in waits) else "fast"
    if state.phase is not Phase.ACTIVE:
        return "none"
    return "soon" if any(seen.doubted for seen in state.seen.values()) else "slow"


def _state(row: Record) -> ResourceState:
    return _decoder.decode(row["state"])


def _states(rows: Sequence[Record]) -> tuple[dict[str, ResourceState], dict[str, Exception]]:
    states: dict[str, ResourceState] = {}
    unreadable: dict[str, Exception] = {}
    for row in rows:
        try:
            states[row["id"]] = _state(row)
        except msgspec.MsgspecError as error:
            unreadable[row["id"]] = error
    return states, unreadable


def _new_columns(state: ResourceState) -> tuple[object, ...]:
    resource = state.resource
    times = resource.created_at, resource.updated_at
    phase = resource.status.phase.value
    return resource.id, resource.kind, resource.tenant, phase, demand(resource), state, *times


def _columns(state: ResourceState) -> tuple[object, ...]:
    status = state.resource.status
    place = status.placement.place if status.placement else None
    updated_at, id = state.resource.updated_at, state.resource.id
    return (
        *(id, status.phase.value, place, inspection_of(state), state, updated_at),
        demand(state.resource),
    )


def utc_now() -> datetime:
    """The time as the scheduler reads it."""
    return datetime.now(UTC)
