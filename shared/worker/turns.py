"""Who goes first where many wait for one backend: whose resource is older.

First come, first served would have the first step of fifty machines done before the second of any,
and all of them there late.
"""

from __future__ import annotations

from typing import TypeAlias

from shared.contract.codec import Envelope
from shared.contract.identifiers import created_at

#: How much older than its command a resource counts at most, in seconds. So what is asked of old
#: resources doesn't keep a new one waiting for longer: it has a place before its patience ends
#: (`command_worker.PATIENCE`), where it would have one at all.
HEAD_START = 8.0
#: Smaller goes first: seconds since 1970, and a name that keeps what is about one thing together.
Turn: TypeAlias = tuple[float, str]


def turn_of(envelope: Envelope) -> Turn:
    """Return the turn of a command. Pure.

    What is about no one resource is as old as it is, and so is what belongs to no workflow, as the
    removal of what a dead one has left.
    """
    sent = envelope.time.timestamp()
    born = None if envelope.step is None else created_at(envelope.subject)
    counts_from = sent if born is None else min(sent, max(born, sent - HEAD_START))
    return counts_from, envelope.subject
