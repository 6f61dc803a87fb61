"""What the front door asks and orders for a tenant: subscriptions, their secrets and deliveries.

The tenant is the envelope's. What is another tenant's doesn't exist here: 404.
"""

from __future__ import annotations

import re

import msgspec

from services.webhook_worker import deliveries, subscriptions
from services.webhook_worker.context import Context
from services.webhook_worker.signing import CALLBACK, SigningKey
from shared.bus import QueryHandlers
from shared.contract.messages import (
    CallbackSecretIssued,
    CreateWebhook,
    DeleteWebhook,
    GetCallbackSecret,
    GetWebhook,
    ListWebhookDeliveries,
    ListWebhooks,
    Message,
    RedeliverWebhook,
    RotateWebhookSecret,
    Webhook,
    WebhookDeleted,
    WebhookDeliveriesListed,
    WebhookRedeliveryQueued,
    WebhooksListed,
)
from shared.contract.problems import FieldError, Problem
from shared.runtime.errors import PermanentError
from shared.runtime.secrets import seal
from shared.runtime.url_policy import check_callback_url

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


class UrlRefused(PermanentError):
    """Nothing may be sent to this URL."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"url {detail}", reason="url_refused", status=422)
        self._field = FieldError(detail=detail, pointer="/url")

    def problem(self, status: int | None = None) -> Problem:
        """Return the problem, pointing at the field."""
        return Problem(
            title="URL refused",
            status=status or self.status,
            detail=self.detail,
            reason=self.reason,
            errors=(self._field,),
        )


async def create_webhook(tenant: str, query: CreateWebhook, context: Context) -> Message:
    """Subscribe; a repeat gives the same subscription and secret."""
    if query.webhook_id == CALLBACK or not _ID.fullmatch(query.webhook_id):
        raise PermanentError("not an id for a webhook", status=422)
    _check_url(query.url, context)
    if query.reply_public_key is not None:
        _check_key(query.reply_public_key)
    limit = context.settings.webhook_subscription_limit
    async with context.database.transaction() as tx:
        webhook = await subscriptions.create(tx, tenant, query, limit)
        key = await subscriptions.signing_key(tx, tenant, subscriptions.scope_of(webhook))
    if query.reply_public_key is None:
        return webhook
    return _with_secret(webhook, key, query.reply_public_key, context)


async def list_webhooks(tenant: str, query: ListWebhooks, context: Context) -> Message:
    """The subscriptions, without those of resources that have ended."""
    async with context.database.connection() as connection:
        page, after = await subscriptions.page(connection, tenant, query.after, query.limit)
    return WebhooksListed(webhooks=tuple(page), next=after)


async def get_webhook(tenant: str, query: GetWebhook, context: Context) -> Message:
    """One subscription."""
    async with context.database.connection() as connection:
        return await subscriptions.get(connection, tenant, query.webhook_id)


async def delete_webhook(tenant: str, query: DeleteWebhook, context: Context) -> Message:
    """End a subscription and cancel what waits to be delivered to it."""
    async with context.database.transaction() as tx:
        await subscriptions.delete(tx, tenant, query.webhook_id)
        await deliveries.cancel_pending(tx, tenant, query.webhook_id)
    return WebhookDeleted(webhook_id=query.webhook_id)


async def rotate_webhook_secret(
    tenant: str, query: RotateWebhookSecret, context: Context
) -> Message:
    """A new secret, while the old one signs along for a day.

    The id ``callback`` rotates the tenant's key for all ``callback_url`` deliveries; the
    subscription of a single resource has no key of its own (409).
    """
    _check_key(query.reply_public_key)
    async with context.database.transaction() as tx:
        if query.webhook_id == CALLBACK:
            key = await subscriptions.rotate_key(tx, tenant, CALLBACK)
            return _with_secret(_callbacks(key), key, query.reply_public_key, context)
        webhook = await subscriptions.get(tx, tenant, query.webhook_id)
        if webhook.resource_id is not None:
            detail = "it is signed with the tenant's callback key; rotate the webhook 'callback'"
            raise PermanentError(detail, reason="callback_key", status=409)
        key = await subscriptions.rotate_key(tx, tenant, webhook.id)
    return _with_secret(webhook, key, query.reply_public_key, context)


async def get_callback_secret(tenant: str, query: GetCallbackSecret, context: Context) -> Message:
    """The tenant's secret for ``callback_url`` deliveries."""
    async with context.database.connection() as connection:
        key = await subscriptions.signing_key(connection, tenant, CALLBACK)
    return _issued(key, query.reply_public_key, context)


async def list_webhook_deliveries(
    tenant: str, query: ListWebhookDeliveries, context: Context
) -> Message:
    """The deliveries of one subscription, newest first."""
    async with context.database.connection() as connection:
        await subscriptions.get(connection, tenant, query.webhook_id)
        page, after = await deliveries.page(
            connection, tenant, query.webhook_id, query.after, query.limit
        )
    return WebhookDeliveriesListed(deliveries=tuple(page), next=after)


async def redeliver_webhook(tenant: str, query: RedeliverWebhook, context: Context) -> Message:
    """Send again; a disabled subscription is thereby taken into service again."""
    async with context.database.transaction() as tx:
        webhook = await subscriptions.get(tx, tenant, query.webhook_id)
        _check_url(webhook.url, context)
        await subscriptions.enable(tx, tenant, webhook.id)
        count = await deliveries.redeliver(tx, tenant, webhook.id, query.delivery_id)
    context.wake()
    return WebhookRedeliveryQueued(count=count)


QUERY_HANDLERS: QueryHandlers[Context] = {
    CreateWebhook: create_webhook,
    ListWebhooks: list_webhooks,
    GetWebhook: get_webhook,
    DeleteWebhook: delete_webhook,
    RotateWebhookSecret: rotate_webhook_secret,
    GetCallbackSecret: get_callback_secret,
    ListWebhookDeliveries: list_webhook_deliveries,
    RedeliverWebhook: redeliver_webhook,
}


def _check_url(url: str, context: Context) -> None:
    try:
        check_callback_url(url, context.allowed_networks)
    except ValueError as error:
        raise UrlRefused(str(error)) from error


def _check_key(public_key: str) -> None:
    _seal(public_key, b"")


def _with_secret(webhook: Webhook, key: SigningKey, to: str, context: Context) -> Webhook:
    sealed = _seal(to, context.signer.secret(key).encode())
    return msgspec.structs.replace(webhook, sealed_secret=sealed)


def _callbacks(key: SigningKey) -> Webhook:
    """All callback_urls of a tenant together, shown as one subscription."""
    description = "the callback_url of every resource"
    return Webhook(id=CALLBACK, url="", created_at=key.rotations[-1], description=description)


def _issued(key: SigningKey, to: str, context: Context) -> CallbackSecretIssued:
    return CallbackSecretIssued(sealed_secret=_seal(to, context.signer.secret(key).encode()))


def _seal(public_key: str, secret: bytes) -> str:
    try:
        return seal(public_key, secret)
    except ValueError as error:
        detail = f"reply_public_key: {error}"
        raise PermanentError(detail, reason="bad_public_key", status=422) from error
