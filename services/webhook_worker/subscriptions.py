"""Who wants to be told: rows of ``subscriptions`` and ``signing_keys``, always of one tenant.

A deleted subscription stays until retention removes it, so that the next status message of its
resource doesn't bring a deleted ``callback_url`` back.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.webhook_worker.cursors import from_cursor, page_size, to_cursor
from services.webhook_worker.lanes import lane_of
from services.webhook_worker.signing import CALLBACK, SigningKey
from shared.contract.messages import CreateWebhook, Webhook
from shared.contract.resources import Phase
from shared.runtime.errors import PermanentError
from shared.storage import Connection

#: So many former secrets can sign along.
MAX_ROTATIONS = 4


def callback_id(resource_id: str) -> str:
    """The id of the subscription that a ``callback_url`` makes."""
    return f"wh-{resource_id}"


async def create(tx: Connection, tenant: str, wanted: CreateWebhook, limit: int) -> Webhook:
    """Add a subscription, or find it there already.

    Raises `PermanentError`: 409 when the id is taken by another one, or by a deleted one; 422 when
    the tenant has ``limit`` of them.
    """
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", tenant)
    if await _is_new(tx, tenant, wanted.webhook_id):
        await _check_limit(tx, tenant, limit)
        await _insert(tx, tenant, wanted)
    made = await get(tx, tenant, wanted.webhook_id)
    asked = (wanted.url, wanted.phases, wanted.kinds, wanted.description)
    if (made.url, made.phases, made.kinds, made.description) != asked:
        raise PermanentError("the id is taken by another subscription", status=409)
    return made


async def _is_new(tx: Connection, tenant: str, id: str) -> bool:
    row = await tx.fetchrow(
        "SELECT deleted_at FROM subscriptions WHERE tenant = $1 AND id = $2", tenant, id
    )
    if row is not None and row["deleted_at"] is not None:
        raise PermanentError("the subscription of this id was deleted", status=409)
    return row is None


async def _check_limit(tx: Connection, tenant: str, limit: int) -> None:
    number = await tx.fetchval(
        "SELECT count(*) FROM subscriptions"
        " WHERE tenant = $1 AND resource_id IS NULL AND deleted_at IS NULL",
        tenant,
    )
    if number >= limit:
        detail = f"a tenant can have {limit} subscriptions; delete one first"
        raise PermanentError(detail, reason="too_many_webhooks", status=422)


async def _insert(tx: Connection, tenant: str, wanted: CreateWebhook) -> None:
    await tx.execute(
        "INSERT INTO subscriptions (tenant, id, url, lane, phases, kinds, description)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        tenant,
        wanted.webhook_id,
        wanted.url,
        lane_of(tenant, wanted.url),
        [phase.value for phase in wanted.phases],
        list(wanted.kinds),
        wanted.description,
    )


async def add_callback(
    tx: Connection, tenant: str, resource_id: str, url: str, refusal: str | None
) -> bool:
    """Add the subscription of a ``callback_url``; tell whether it wasn't there before.

    With ``refusal`` (why nothing can be sent to the URL) it is disabled from the beginning.
    """
    row = await tx.fetchrow(
        "INSERT INTO subscriptions (tenant, id, url, lane, resource_id, disabled_at,"
        " disabled_reason) VALUES ($1, $2, $3, $4, $5,"
        " CASE WHEN $6::text IS NULL THEN NULL ELSE now() END, $6)"
        " ON CONFLICT DO NOTHING RETURNING id",
        tenant,
        callback_id(resource_id),
        url,
        lane_of(tenant, url) if refusal is None else "",
        resource_id,
        refusal,
    )
    return row is not None


async def end_callback(tx: Connection, tenant: str, resource_id: str) -> None:
    """Note that the resource has ended: nothing more will be said of it."""
    await tx.execute(
        "UPDATE subscriptions SET ended_at = now()"
        " WHERE tenant = $1 AND resource_id = $2 AND ended_at IS NULL",
        tenant,
        resource_id,
    )


async def get(tx: Connection, tenant: str, id: str) -> Webhook:
    """Return one subscription; raise `PermanentError` (404) when the tenant has no such one."""
    row = await tx.fetchrow(
        "SELECT * FROM subscriptions WHERE tenant = $1 AND id = $2 AND deleted_at IS NULL",
        tenant,
        id,
    )
    if row is None:
        raise not_found()
    return _webhook(row)


async def page(
    tx: Connection, tenant: str, after: str | None, limit: int
) -> tuple[list[Webhook], str | None]:
    """Return the tenant's subscriptions, oldest first, and the cursor of the next page.

    Those of resources that have ended are left out; they can be had by id.
    """
    at, id = from_cursor(after) if after else (None, None)
    rows = await tx.fetch(
        "SELECT * FROM subscriptions"
        " WHERE tenant = $1 AND deleted_at IS NULL AND ended_at IS NULL"
        " AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3::text))"
        " ORDER BY created_at, id LIMIT $4",
        tenant,
        at,
        id,
        page_size(limit) + 1,
    )
    shown = rows[: page_size(limit)]
    more = len(rows) > len(shown)
    return [_webhook(row) for row in shown], (
        to_cursor(shown[-1]["created_at"], shown[-1]["id"]) if more else None
    )


async def delete(tx: Connection, tenant: str, id: str) -> None:
    """End a subscription; nothing happens when it has ended. Raises `PermanentError` (404)."""
    row = await tx.fetchrow(
        "UPDATE subscriptions SET deleted_at = coalesce(deleted_at, now())"
        " WHERE tenant = $1 AND id = $2 RETURNING id",
        tenant,
        id,
    )
    if row is None:
        raise not_found()


async def disable(tx: Connection, tenant: str, id: str, reason: str) -> Webhook | None:
    """Disable a subscription; None when it was already, or is deleted."""
    row = await tx.fetchrow(
        "UPDATE subscriptions SET disabled_at = now(), disabled_reason = $3 WHERE tenant = $1"
        " AND id = $2 AND disabled_at IS NULL AND deleted_at IS NULL RETURNING *",
        tenant,
        id,
        reason,
    )
    return _webhook(row) if row is not None else None


async def enable(tx: Connection, tenant: str, id: str) -> None:
    """Take a disabled subscription into service again, with a clean record."""
    await tx.execute(
        "UPDATE subscriptions SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL,"
        " messages_lost = 0 WHERE tenant = $1 AND id = $2 AND disabled_at IS NOT NULL",
        tenant,
        id,
    )


async def signing_key(tx: Connection, tenant: str, scope: str) -> SigningKey:
    """Return which secrets sign for ``scope``."""
    row = await tx.fetchrow(
        "SELECT generation, rotations FROM signing_keys WHERE tenant = $1 AND scope = $2",
        tenant,
        scope,
    )
    return (
        key_of(tenant, scope, row["generation"], row["rotations"])
        if row
        else key_of(tenant, scope, None, None)
    )


async def rotate_key(tx: Connection, tenant: str, scope: str) -> SigningKey:
    """Begin a new generation of the secret of ``scope``."""
    row = await tx.fetchrow(
        "INSERT INTO signing_keys AS k (tenant, scope, generation, rotations)"
        " VALUES ($1, $2, 2, ARRAY[now()]) ON CONFLICT (tenant, scope) DO UPDATE"
        " SET generation = k.generation + 1, rotations ="
        " (k.rotations || now())[greatest(1, cardinality(k.rotations) + 2 - $3):]"
        " RETURNING generation, rotations",
        tenant,
        scope,
        MAX_ROTATIONS,
    )
    assert row is not None
    return key_of(tenant, scope, row["generation"], row["rotations"])


def key_of(
    tenant: str, scope: str, generation: int | None, rotations: list[datetime] | None
) -> SigningKey:
    """Return the key of a row of ``signing_keys``, or of no row: a secret never rotated."""
    return SigningKey(tenant, scope, generation or 1, tuple(rotations or ()))


def scope_of(webhook: Webhook) -> str:
    """The scope of the key that signs for ``webhook``."""
    return webhook.id if webhook.resource_id is None else CALLBACK


def not_found() -> PermanentError:
    """The answer for what isn't there, or is another tenant's."""
    return PermanentError("there is no such webhook", reason="not_found", status=404)


def _webhook(row: Any) -> Webhook:
    return Webhook(
        id=row["id"],
        url=row["url"],
        created_at=row["created_at"],
        phases=tuple(Phase(phase) for phase in row["phases"]),
        kinds=tuple(row["kinds"]),
        description=row["description"],
        resource_id=row["resource_id"],
        disabled_at=row["disabled_at"],
        disabled_reason=row["disabled_reason"],
    )
