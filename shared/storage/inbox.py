"""The inbox: which messages this service has taken already, so that a second delivery does nothing.

A row is written in the transaction that records the message's effect; (tenant, source, id) is
unique (CloudEvents 1.0.2 §3.1: source and id together identify an event).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from shared.contract.codec import Envelope
from shared.storage.database import Connection

_FORGET_AT_ONCE = 5000


async def first_delivery(tx: Connection, envelope: Envelope) -> bool:
    """Record the message; return False when it was recorded before.

    A second delivery under way at the same time waits here until the first is committed.
    """
    status = await tx.execute(
        "INSERT INTO inbox (tenant, source, id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        envelope.tenant,
        envelope.source,
        envelope.id,
    )
    return status == "INSERT 0 1"


async def first_deliveries(
    tx: Connection, envelopes: Iterable[Envelope]
) -> set[tuple[str, str, str]]:
    """Record these messages; return (tenant, source, id) of those not recorded before.

    In one order everywhere, so that two batches never wait for each other in a circle.
    """
    keys = sorted({(one.tenant, one.source, one.id) for one in envelopes})
    rows = await tx.fetch(
        "INSERT INTO inbox (tenant, source, id)"
        " SELECT tenant, source, id FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY"
        " AS new (tenant, source, id, place) ORDER BY place"
        " ON CONFLICT DO NOTHING RETURNING tenant, source, id",
        *([key[column] for key in keys] for column in range(3)),
    )
    return {(row["tenant"], row["source"], row["id"]) for row in rows}


async def forget_old(tx: Connection, older_than: timedelta) -> int:
    """Forget messages received longer ago, some thousand at once; return how many."""
    status = await tx.execute(
        "DELETE FROM inbox WHERE (tenant, source, id) IN ("
        " SELECT tenant, source, id FROM inbox WHERE received_at < now() - $1::interval"
        " ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        older_than,
        _FORGET_AT_ONCE,
    )
    return int(status.rpartition(" ")[2])
