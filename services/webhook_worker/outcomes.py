"""What became of a try: the attempt, its delivery and its subscription, recorded together.

Every transaction here locks the subscription before deliveries, or only one row: no deadlocks.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from services.webhook_worker import deliveries, subscriptions
from services.webhook_worker.backend import Answer
from services.webhook_worker.claims import Claimed
from shared.contract.messages import Webhook
from shared.storage import Connection


class Tolerance(msgspec.Struct, frozen=True):
    """An endpoint is disabled after ``messages`` given up in a row or ``seconds`` of failing."""

    messages: int
    seconds: float


_ATTEMPT = (
    "INSERT INTO attempts (delivery_id, at, status, error, milliseconds)"
    " SELECT id, $2, $3, $4, $5 FROM deliveries WHERE id = $1"
)

# An endpoint that took the message has it, whoever holds the claim by now.
_DELIVERED = """
UPDATE deliveries SET state = 'delivered', tries = tries + 1, next_attempt_at = NULL, claim = NULL,
       claimed_until = NULL, finished_at = now()
WHERE id = $1 AND state <> 'delivered'
"""

_RECOVERED = """
UPDATE subscriptions SET failing_since = NULL, messages_lost = 0
WHERE tenant = $1 AND id = $2 AND (failing_since IS NOT NULL OR messages_lost > 0)
"""

_FAILING = """
UPDATE subscriptions SET failing_since = coalesce(failing_since, now()),
       messages_lost = messages_lost + $3
WHERE tenant = $1 AND id = $2
RETURNING disabled_at IS NOT NULL OR deleted_at IS NOT NULL AS over,
          messages_lost >= $4 OR now() - failing_since >= make_interval(secs => $5) AS too_much
"""

_FAILED = """
UPDATE deliveries SET tries = tries + 1, claim = NULL, claimed_until = NULL, state = $3,
       next_attempt_at = CASE WHEN $3 = 'pending' THEN now() + make_interval(secs => $4) END,
       finished_at = CASE WHEN $3 = 'pending' THEN NULL ELSE now() END
WHERE id = $1 AND claim = $2 AND state = 'pending'
"""


async def delivered(tx: Connection, claimed: Claimed, at: datetime, answer: Answer) -> None:
    """Record that the endpoint has taken the message."""
    await tx.execute(_RECOVERED, claimed.tenant, claimed.subscription_id)
    await tx.execute(_DELIVERED, claimed.id)
    await _attempt(tx, claimed, at, answer)


async def failed(
    tx: Connection,
    claimed: Claimed,
    at: datetime,
    answer: Answer,
    delay: float | None,
    tolerance: Tolerance,
) -> Webhook | None:
    """Record a failed try; the next one is in ``delay`` seconds, None: given up.

    Returns the subscription when this was one failure too many and it is disabled now.
    """
    row = await tx.fetchrow(
        _FAILING,
        claimed.tenant,
        claimed.subscription_id,
        int(delay is None),
        tolerance.messages,
        tolerance.seconds,
    )
    over = row is None or row["over"]
    state = "failed" if delay is None else "cancelled" if over else "pending"
    await tx.execute(_FAILED, claimed.id, claimed.claim, state, delay)
    await _attempt(tx, claimed, at, answer)
    if row is None or over or not row["too_much"]:
        return None
    return await _disable(tx, claimed, "the endpoint kept failing")


async def gone(tx: Connection, claimed: Claimed, at: datetime, answer: Answer) -> Webhook | None:
    """Record that the endpoint wants no more (410); return the subscription if disabled now."""
    await tx.fetchrow(_FAILING, claimed.tenant, claimed.subscription_id, 1, 1, 0.0)
    await tx.execute(_FAILED, claimed.id, claimed.claim, "failed", None)
    await _attempt(tx, claimed, at, answer)
    return await _disable(tx, claimed, "the endpoint answered 410 Gone")


async def _disable(tx: Connection, claimed: Claimed, reason: str) -> Webhook | None:
    webhook = await subscriptions.disable(tx, claimed.tenant, claimed.subscription_id, reason)
    if webhook is not None:
        await deliveries.cancel_pending(tx, claimed.tenant, claimed.subscription_id)
    return webhook


async def _attempt(tx: Connection, claimed: Claimed, at: datetime, answer: Answer) -> None:
    await tx.execute(_ATTEMPT, claimed.id, at, answer.status, answer.error, answer.milliseconds)
