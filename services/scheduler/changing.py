"""Many resources changed in one transaction: what arrives while one is under way shares the next.

A change is a pure decision about one resource under its lock. Alone it costs the round trips that
it needs; a burst's share theirs, and one commit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import structlog

from services.scheduler import dependents
from services.scheduler.ledger import Ledger, Transaction
from services.scheduler.state import Decision, ResourceState
from shared.contract.codec import Envelope
from shared.contract.outgoing import OutgoingMessage
from shared.runtime import tracing
from shared.storage import first_deliveries

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Lesson:
    """What a change teaches about its cloud, written last in the transaction.

    ``table`` has a row for each cloud; ``write`` locks that of the resource's cloud, no other.
    """

    table: str
    write: Callable[[Transaction, ResourceState, ResourceState], Awaitable[None]]


@dataclass(frozen=True)
class Change:
    """What ``envelope`` tells of its subject; with ``once``, a second delivery changes nothing.

    ``trace`` is that of the delivery at hand.
    """

    envelope: Envelope
    once: bool
    decide: Callable[[ResourceState], Decision]
    learn: Lesson | None = None
    trace: str | None = field(default_factory=tracing.traceparent)

    def place(self, state: ResourceState) -> str | None:
        """Where in which trace it is handled.

        A look at many resources has a trace of its own; what it shows is part of each one's.
        """
        return self.trace if self.envelope.step else state.traceparent or self.trace


@dataclass(frozen=True)
class _Made:
    change: Change
    before: ResourceState
    decision: Decision


@dataclass(frozen=True)
class Changed:
    """What became of a batch: ``moved`` when some resource's phase is another one now."""

    messages: Sequence[OutgoingMessage]
    moved: bool


async def make_changes(tx: Transaction, ledger: Ledger, changes: Sequence[Change]) -> Changed:
    """Decide and record all of these, in order.

    Locks go in the ledger's order: the inbox, resources, tenants, and at the end clouds; each by
    name, and one cloud's rows by their tables'. So two batches never wait in a circle.
    """
    once = [change.envelope for change in changes if change.once]
    fresh = await first_deliveries(tx, once) if once else set()
    news = [one for one in changes if not one.once or _key(one.envelope) in fresh]
    states = await ledger.lock_all(tx, sorted({one.envelope.subject for one in news}))
    made: list[_Made] = []
    messages: list[OutgoingMessage] = []
    for change in news:
        before = _own(states, change.envelope)
        if before is not None:
            with tracing.resumed(change.trace), tracing.resumed(change.place(before)):
                decision = await dependents.informed(tx, change.decide(before))
                messages += ledger.messages(before, decision)
            states[change.envelope.subject] = decision.state
            made.append(_Made(change, before, decision))
    await ledger.write(tx, [(one.before, one.decision) for one in made])
    await _learn(tx, made)
    moved = any(one.before.phase is not one.decision.state.phase for one in made)
    return Changed(messages, moved)


async def _learn(tx: Transaction, made: Iterable[_Made]) -> None:
    lessons = [
        (one.before.place, one.change.learn, one)
        for one in made
        if one.change.learn is not None and one.before.resource.status.placement is not None
    ]
    for _, lesson, one in sorted(lessons, key=lambda each: (each[0], each[1].table)):
        with tracing.resumed(one.change.trace), tracing.resumed(one.change.place(one.before)):
            await lesson.write(tx, one.before, one.decision.state)


def _own(states: dict[str, ResourceState], envelope: Envelope) -> ResourceState | None:
    state = states.get(envelope.subject)
    if state is None or state.resource.tenant != envelope.tenant:
        log.warning("event for an unknown resource", type=envelope.type, subject=envelope.subject)
        return None
    return state


def _key(envelope: Envelope) -> tuple[str, str, str]:
    return envelope.tenant, envelope.source, envelope.id
