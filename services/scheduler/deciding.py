"""Decisions about several resources in one transaction, each by itself.

Whatever is wrong with one of them, its decision is not made and it is set aside; the others' are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.scheduler.ledger import Ledger, Transaction
from services.scheduler.setbacks import Setbacks
from services.scheduler.state import Decision, ResourceState
from shared.contract.outgoing import OutgoingMessage

Decide = Callable[[ResourceState], Decision]


@dataclass(frozen=True)
class Made:
    """A decision about a resource as it was before, and the messages that follow from it."""

    before: ResourceState
    decision: Decision
    messages: Sequence[OutgoingMessage]


async def decide_each(
    tx: Transaction, ledger: Ledger, decide: Mapping[str, Decide], aside: Setbacks
) -> tuple[list[Made], list[ResourceState]]:
    """Lock these and decide, nothing is written yet.

    Returns what was decided, and those of which it couldn't be, as they are; of what can't even be
    read there is nothing to return.
    """
    if not decide:
        return [], []
    states, unreadable = await ledger.lock_readable(tx, list(decide))
    for resource_id, error in unreadable.items():
        aside.note(resource_id, error)
    made, faulty = [], []
    for resource_id, state in states.items():
        one = decide_one(ledger, state, decide[resource_id], aside)
        if one is None:
            faulty.append(state)
        else:
            aside.over(resource_id)
            made.append(one)
    return made, faulty


def decide_one(
    ledger: Ledger, state: ResourceState, decide: Decide, aside: Setbacks
) -> Made | None:
    """Return what was decided, or None when that raised, which is told and counted."""
    try:
        decision = decide(state)
        return Made(state, decision, ledger.messages(state, decision))
    except Exception as error:  # noqa: BLE001 - this resource's, whatever it is
        aside.note(state.resource.id, error)
        return None


async def record_all(
    tx: Transaction, ledger: Ledger, made: Iterable[Made]
) -> list[OutgoingMessage]:
    """Write them; returns their messages."""
    made = list(made)
    await ledger.write(tx, [(one.before, one.decision) for one in made])
    return [message for one in made for message in one.messages]
