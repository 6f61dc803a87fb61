"""What is to be told: rows of ``deliveries``, made from status messages, shown to their owner."""

from __future__ import annotations

from typing import Any

import msgspec

from services.webhook_worker.cursors import from_cursor, page_size, to_cursor
from shared.contract.codec import Envelope
from shared.contract.messages import WebhookAttempt, WebhookDelivery
from shared.contract.resources import Resource
from shared.runtime.errors import PermanentError
from shared.storage import Connection

#: Senders listen here; a notification says that there is something new to send.
CHANNEL = "webhook_worker_deliveries"
#: So many of a delivery's attempts are shown, the last ones.
SHOWN_ATTEMPTS = 20
#: So many deliveries are queued again by one call.
MAX_REDELIVERED = 10_000

# The id is the same whenever it is computed: of the event and the subscription.
_QUEUE = """
WITH queued AS (
    INSERT INTO deliveries (id, tenant, subscription_id, resource_id, sequence, lane, body)
    SELECT 'msg_' || left(encode(sha256(convert_to($6 || ' ' || s.tenant || ' ' || s.id, 'UTF8')),
           'hex'), 40), s.tenant, s.id, $2, $5, s.lane, $7
    FROM subscriptions s
    WHERE s.tenant = $1 AND (s.resource_id IS NULL OR s.resource_id = $2)
      AND s.disabled_at IS NULL AND s.deleted_at IS NULL
      AND (cardinality(s.phases) = 0 OR $3 = ANY (s.phases))
      AND (cardinality(s.kinds) = 0 OR $4 = ANY (s.kinds))
    ON CONFLICT DO NOTHING RETURNING 1)
SELECT count(*), pg_notify('webhook_worker_deliveries', '') IS NULL FROM queued HAVING count(*) > 0
"""

_PAGE = """
SELECT d.id, d.subscription_id AS webhook_id, d.resource_id, d.sequence, d.state, d.created_at,
       d.next_attempt_at, a.attempts
FROM deliveries d
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_object('at', t.at, 'status', t.status, 'error', t.error,
                                      'milliseconds', t.milliseconds) ORDER BY t.at) AS attempts
    FROM (SELECT * FROM attempts WHERE delivery_id = d.id ORDER BY at DESC LIMIT $6) t
) a ON true
WHERE d.tenant = $1 AND d.subscription_id = $2
  AND ($3::timestamptz IS NULL OR (d.created_at, d.id) < ($3, $4::text))
ORDER BY d.created_at DESC, d.id DESC LIMIT $5
"""

_REDELIVER = """
WITH again AS (
    UPDATE deliveries d SET state = 'pending', next_attempt_at = now(), finished_at = NULL,
           tries = CASE WHEN d.state = 'pending' THEN d.tries ELSE 0 END
    WHERE d.id IN (
        SELECT id FROM deliveries
        WHERE tenant = $1 AND subscription_id = $2
          AND CASE WHEN $3::text IS NULL THEN state IN ('failed', 'cancelled') ELSE id = $3 END
        ORDER BY created_at DESC LIMIT $4 FOR UPDATE)
    RETURNING 1)
SELECT count(*), pg_notify('webhook_worker_deliveries', '') IS NULL FROM again
"""

_CANCEL = """
UPDATE deliveries SET state = 'cancelled', next_attempt_at = NULL, claim = NULL,
       claimed_until = NULL, finished_at = now()
WHERE id IN (
    SELECT id FROM deliveries WHERE tenant = $1 AND subscription_id = $2 AND state = 'pending'
      AND (claimed_until IS NULL OR claimed_until < now()) FOR UPDATE SKIP LOCKED)
"""


async def queue(tx: Connection, envelope: Envelope, resource: Resource, body: str) -> int:
    """Add a delivery for each subscription that matches; return how many were added.

    What is there already (a repeated message) is left as it is. Senders are notified.
    """
    added = await tx.fetchval(
        _QUEUE,
        resource.tenant,
        resource.id,
        resource.status.phase.value,
        resource.kind,
        resource.revision,
        envelope.id,
        body,
    )
    return int(added or 0)


async def page(
    tx: Connection, tenant: str, webhook_id: str, after: str | None, limit: int
) -> tuple[list[WebhookDelivery], str | None]:
    """Return deliveries of a subscription, newest first, and the cursor of the next page."""
    at, id = from_cursor(after) if after else (None, None)
    size = page_size(limit)
    rows = await tx.fetch(_PAGE, tenant, webhook_id, at, id, size + 1, SHOWN_ATTEMPTS)
    shown = [_delivery(row) for row in rows[:size]]
    more = len(rows) > size
    return shown, to_cursor(shown[-1].created_at, shown[-1].id) if more else None


async def redeliver(tx: Connection, tenant: str, webhook_id: str, id: str | None) -> int:
    """Queue one delivery again whatever became of it, or all that never arrived; count them.

    Raises `PermanentError` (404) when the subscription has no delivery of this id.
    """
    number = int(await tx.fetchval(_REDELIVER, tenant, webhook_id, id, MAX_REDELIVERED) or 0)
    if id is not None and not number:
        raise PermanentError("there is no such delivery", reason="not_found", status=404)
    return number


async def cancel_pending(tx: Connection, tenant: str, webhook_id: str) -> None:
    """Cancel what waits; what is being sent just now is settled when its answer is recorded."""
    await tx.execute(_CANCEL, tenant, webhook_id)


def _delivery(row: Any) -> WebhookDelivery:
    return WebhookDelivery(
        id=row["id"],
        webhook_id=row["webhook_id"],
        resource_id=row["resource_id"],
        sequence=row["sequence"],
        state=row["state"],
        created_at=row["created_at"],
        next_attempt_at=row["next_attempt_at"],
        attempts=msgspec.json.decode(row["attempts"] or "[]", type=tuple[WebhookAttempt, ...]),
    )
