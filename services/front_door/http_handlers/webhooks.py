"""Webhook subscriptions: the webhook worker owns them and is asked; secrets come back sealed."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

import msgspec
from aiohttp import web

from services.front_door.answers import json_answer, secret_answer
from services.front_door.bodies import Check, read_body, read_no_body, read_optional_body
from services.front_door.context import FrontDoor, caller, front_door
from services.front_door.faults import bad_field, bad_parameter, key_reused, not_found
from services.front_door.parameters import idempotency_key, limit, only, single
from services.front_door.queries import ask_owner, opened
from shared.bus import QueryRefused
from shared.contract.http import (
    CallbackSecret,
    NewWebhook,
    Redelivery,
    WebhookPage,
    WebhookWithSecret,
)
from shared.contract.identifiers import new_ulid, ulid_of
from shared.contract.kinds import KINDS
from shared.contract.messages import (
    CallbackSecretIssued,
    CreateWebhook,
    DeleteWebhook,
    GetCallbackSecret,
    GetWebhook,
    ListWebhookDeliveries,
    ListWebhooks,
    RedeliverWebhook,
    RotateWebhookSecret,
    Webhook,
    WebhookDeleted,
    WebhookDeliveriesListed,
    WebhookRedeliveryQueued,
    WebhooksListed,
)
from shared.contract.problems import FieldError
from shared.runtime.errors import BackendUnavailable
from shared.runtime.secrets import SealingKey

OWNER = "webhook_worker"
_ID = re.compile(r"[a-z0-9_-]{1,64}")
_TEXT = re.compile(r"[\x21-\x7e]{1,500}")


async def create_webhook(request: web.Request) -> web.Response:
    """``POST /v1/webhooks``: the secret is in this answer and in no later one."""
    only(request)
    body = await read_body(request, NewWebhook, _faults(front_door(request)))
    key = SealingKey.generate()
    message = CreateWebhook(
        webhook_id=_new_webhook_id(request),
        url=body.url,
        phases=body.phases,
        kinds=body.kinds,
        description=body.description,
        reply_public_key=key.public_key,
    )
    try:
        made = await ask_owner(request, OWNER, message, Webhook, subject=message.webhook_id)
    except QueryRefused as error:
        if error.status == 409:  # the id follows from the key, so the key has been used before
            raise key_reused() from error
        raise
    if made.id != message.webhook_id:
        raise BackendUnavailable(f"{OWNER} answered about another webhook.", retry_after=5)
    location = {"Location": f"/v1/webhooks/{made.id}"}
    return _with_secret(made, key, status=201, headers=location)


def _faults(parts: FrontDoor) -> Check:
    async def check(body: dict[str, Any]) -> list[FieldError]:
        kinds = body.get("kinds")
        unknown = [
            FieldError(detail=f"It must be one of {', '.join(KINDS)}.", pointer=f"/kinds/{index}")
            for index, kind in enumerate(kinds if isinstance(kinds, list) else ())
            if isinstance(kind, str) and kind not in KINDS
        ]
        return [*await parts.callback_urls.faults(body.get("url"), "/url"), *unknown]

    return check


async def list_webhooks(request: web.Request) -> web.Response:
    """``GET /v1/webhooks``."""
    only(request, "limit", "cursor")
    message = ListWebhooks(after=_cursor(request), limit=limit(request))
    listed = await ask_owner(request, OWNER, message, WebhooksListed)
    return json_answer(WebhookPage(items=listed.webhooks, next=listed.next))


async def get_webhook(request: web.Request) -> web.Response:
    """``GET /v1/webhooks/{id}``."""
    only(request)
    webhook_id = _webhook_id(request)
    message = GetWebhook(webhook_id=webhook_id)
    return json_answer(await ask_owner(request, OWNER, message, Webhook, subject=webhook_id))


async def delete_webhook(request: web.Request) -> web.Response:
    """``DELETE /v1/webhooks/{id}``; again is fine."""
    only(request)
    webhook_id = _webhook_id(request)
    message = DeleteWebhook(webhook_id=webhook_id)
    await ask_owner(request, OWNER, message, WebhookDeleted, subject=webhook_id)
    return web.Response(status=204)


async def rotate_secret(request: web.Request) -> web.Response:
    """``POST /v1/webhooks/{id}/rotate-secret``: the old secret signs along for a day."""
    only(request)
    await read_no_body(request)
    webhook_id, key = _webhook_id(request), SealingKey.generate()
    message = RotateWebhookSecret(webhook_id=webhook_id, reply_public_key=key.public_key)
    rotated = await ask_owner(request, OWNER, message, Webhook, subject=webhook_id)
    return _with_secret(rotated, key)


async def list_deliveries(request: web.Request) -> web.Response:
    """``GET /v1/webhooks/{id}/deliveries``, newest first."""
    only(request, "limit", "cursor")
    webhook_id = _webhook_id(request)
    message = ListWebhookDeliveries(
        webhook_id=webhook_id, after=_cursor(request), limit=limit(request)
    )
    return json_answer(
        await ask_owner(request, OWNER, message, WebhookDeliveriesListed, subject=webhook_id)
    )


async def redeliver(request: web.Request) -> web.Response:
    """``POST /v1/webhooks/{id}/redeliver``: one delivery, or all failed ones."""
    only(request)
    webhook_id = _webhook_id(request)
    body = await read_optional_body(request, Redelivery)
    if body.delivery_id is not None and not _TEXT.fullmatch(body.delivery_id):
        raise bad_field("/delivery_id", "It is not the id of a delivery.")
    message = RedeliverWebhook(webhook_id=webhook_id, delivery_id=body.delivery_id)
    queued = await ask_owner(request, OWNER, message, WebhookRedeliveryQueued, subject=webhook_id)
    return json_answer(queued, status=202)


async def callback_secret(request: web.Request) -> web.Response:
    """``GET /v1/callback-secret``: what signs the deliveries to a ``callback_url``."""
    only(request)
    key = SealingKey.generate()
    message = GetCallbackSecret(reply_public_key=key.public_key)
    issued = await ask_owner(request, OWNER, message, CallbackSecretIssued)
    return secret_answer(CallbackSecret(secret=opened(OWNER, key, issued.sealed_secret)))


def _with_secret(
    webhook: Webhook, key: SealingKey, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    secret = opened(OWNER, key, webhook.sealed_secret)
    shown = msgspec.structs.replace(webhook, sealed_secret=None)
    return secret_answer(
        WebhookWithSecret(webhook=shown, secret=secret), status=status, headers=headers
    )


def _new_webhook_id(request: web.Request) -> str:
    """Return a new id; under an Idempotency-Key it is the same each time, so no second is made."""
    key = idempotency_key(request)
    if key is None:
        return f"wh-{new_ulid()}"
    name = f"{caller(request).tenant} {key}".encode()
    digest = hmac.digest(front_door(request).webhook_id_key, name, hashlib.sha256)
    return f"wh-{ulid_of(digest[:16])}"


def _webhook_id(request: web.Request) -> str:
    webhook_id = request.match_info["id"]
    if not _ID.fullmatch(webhook_id):
        raise not_found("webhook")
    return webhook_id


def _cursor(request: web.Request) -> str | None:
    cursor = single(request, "cursor")
    if cursor is not None and not _TEXT.fullmatch(cursor):
        raise bad_parameter("cursor", "It is not a cursor of this list.")
    return cursor
