"""Which deliveries a sender may send now, so that no two senders have the same one.

A claim is a lease: when its holder dies, the delivery is free again once it has run out. A
delivery waits for an earlier one of the same subscription and resource until that one has been
tried once, so that they arrive in order while they succeed, and a failing one holds up no other.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.webhook_worker.signing import CALLBACK, SigningKey
from services.webhook_worker.subscriptions import key_of
from shared.storage import Connection


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is ours to send for the length of the lease."""

    id: str
    claim: str
    tenant: str
    subscription_id: str
    resource_id: str
    url: str
    lane: str
    body: str
    tries: int
    key: SigningKey


# The lanes with something pending, by jumping through the index (a loose index scan); of these
# the ones with something due, longest due first.
_DUE_LANES = """
WITH RECURSIVE lanes AS (
    (SELECT lane FROM deliveries WHERE state = 'pending' ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT (SELECT d.lane FROM deliveries d WHERE d.state = 'pending' AND d.lane > l.lane
            ORDER BY d.lane LIMIT 1)
    FROM lanes l WHERE l.lane IS NOT NULL)
SELECT l.lane FROM lanes l CROSS JOIN LATERAL (
    SELECT d.next_attempt_at FROM deliveries d
    WHERE d.lane = l.lane AND d.state = 'pending' AND d.next_attempt_at <= now()
      AND (d.claimed_until IS NULL OR d.claimed_until <= now())
    ORDER BY d.next_attempt_at LIMIT 1) due
ORDER BY due.next_attempt_at
"""

# Arrays instead of joins: the planner then goes by the primary key, however large the table is.
_CLAIM = """
WITH candidates AS MATERIALIZED (
    SELECT c.id FROM unnest($1::text[], $2::int[]) AS allowed (lane, number)
    CROSS JOIN LATERAL (
        SELECT d.id FROM deliveries d
        JOIN subscriptions s ON s.tenant = d.tenant AND s.id = d.subscription_id
        WHERE s.disabled_at IS NULL AND s.deleted_at IS NULL
          AND d.lane = allowed.lane AND d.state = 'pending' AND d.next_attempt_at <= now()
          AND (d.claimed_until IS NULL OR d.claimed_until <= now())
          AND NOT EXISTS (
            SELECT FROM deliveries earlier
            WHERE earlier.tenant = d.tenant AND earlier.subscription_id = d.subscription_id
              AND earlier.resource_id = d.resource_id AND earlier.sequence < d.sequence
              AND earlier.state = 'pending' AND earlier.tries = 0)
        ORDER BY d.next_attempt_at, d.sequence LIMIT allowed.number) c),
locked AS MATERIALIZED (
    SELECT d.id FROM deliveries d
    WHERE d.id = ANY (ARRAY(SELECT id FROM candidates))
      AND d.state = 'pending' AND d.next_attempt_at <= now()
      AND (d.claimed_until IS NULL OR d.claimed_until <= now())
    FOR UPDATE SKIP LOCKED)
UPDATE deliveries d
SET claim = $3, claimed_until = now() + make_interval(secs => $4)
FROM subscriptions s
LEFT JOIN signing_keys k ON k.tenant = s.tenant
  AND k.scope = CASE WHEN s.resource_id IS NULL THEN s.id ELSE 'callback' END
WHERE d.id = ANY (ARRAY(SELECT id FROM locked))
  AND s.tenant = d.tenant AND s.id = d.subscription_id
RETURNING d.id, d.claim, d.tenant, d.subscription_id, d.resource_id, s.url, d.lane, d.body,
          d.tries, s.resource_id IS NOT NULL AS is_callback, k.generation, k.rotations
"""

# Deliveries that are due but wait for a slot or for an earlier one are no reason to wake up: the
# end of what they wait for is. now() is the beginning of the transaction, in which they were seen.
_NEXT_DUE = """
SELECT extract(epoch FROM min(at) - clock_timestamp())::float8 FROM (
    SELECT min(next_attempt_at) AS at FROM deliveries
    WHERE state = 'pending' AND next_attempt_at > now()
    UNION ALL
    SELECT min(claimed_until) FROM deliveries
    WHERE state = 'pending' AND claimed_until IS NOT NULL AND claimed_until > now()) next
"""


async def due_lanes(tx: Connection) -> list[str]:
    """Return the lanes with deliveries that are due and free, those that wait longest first."""
    return [row["lane"] for row in await tx.fetch(_DUE_LANES)]


async def claim(
    tx: Connection, allowed: Mapping[str, int], token: str, lease: float
) -> list[Claimed]:
    """Claim at most ``allowed[lane]`` due deliveries of each lane for ``lease`` seconds."""
    rows = await tx.fetch(_CLAIM, list(allowed), list(allowed.values()), token, lease)
    return [
        Claimed(
            id=row["id"],
            claim=row["claim"],
            tenant=row["tenant"],
            subscription_id=row["subscription_id"],
            resource_id=row["resource_id"],
            url=row["url"],
            lane=row["lane"],
            body=row["body"],
            tries=row["tries"],
            key=key_of(
                row["tenant"],
                CALLBACK if row["is_callback"] else row["subscription_id"],
                row["generation"],
                row["rotations"],
            ),
        )
        for row in rows
    ]


async def seconds_until_due(tx: Connection) -> float | None:
    """Return when the next delivery becomes due or its claim runs out; None: nothing waits.

    "Next" is after the beginning of the transaction: ask in the one that found nothing to claim.
    """
    seconds = await tx.fetchval(_NEXT_DUE)
    return None if seconds is None else float(seconds)
