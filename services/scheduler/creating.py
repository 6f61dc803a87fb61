"""The front door's new resources, recorded together: what arrives meanwhile shares the next commit.

Most requests are such. What isn't plainly new is left to whoever takes requests one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.scheduler.ledger import Ledger, Transaction
from services.scheduler.state import Decision
from shared.contract.codec import Envelope
from shared.contract.outgoing import OutgoingMessage
from shared.storage import first_deliveries

_KNOWN = "SELECT id FROM resources WHERE id = ANY($1)"


@dataclass(frozen=True)
class Creation:
    """``decision``: how the resource that ``envelope`` asks for begins."""

    envelope: Envelope
    decision: Decision

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes a delivery the first one."""
        return self.envelope.tenant, self.envelope.source, self.envelope.id


@dataclass(frozen=True)
class Created:
    """``new``: for each creation whether it was recorded; nothing was written of the others."""

    new: Sequence[bool]
    messages: Sequence[OutgoingMessage]


async def create_all(tx: Transaction, ledger: Ledger, creations: Sequence[Creation]) -> Created:
    """Record those whose resource isn't there and whose message wasn't taken before."""
    by_id: dict[str, Creation] = {}
    for one in creations:
        by_id.setdefault(one.envelope.subject, one)
    for row in await tx.fetch(_KNOWN, list(by_id)):
        del by_id[row["id"]]
    first = await first_deliveries(tx, [one.envelope for one in by_id.values()])
    new = [one for one in by_id.values() if one.key in first]
    messages = await ledger.insert_all(tx, [one.decision for one in new])
    return Created([one in new for one in creations], messages)
