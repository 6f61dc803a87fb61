"""Webhook subscriptions and their deliveries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote

from colobus.models import (
    CallbackSecret,
    NewWebhook,
    Redelivery,
    Webhook,
    WebhookDeliveriesListed,
    WebhookDelivery,
    WebhookPage,
    WebhookRedeliveryQueued,
    WebhookWithSecret,
)
from colobus.transport import Transport


@dataclass(frozen=True)
class Webhooks:
    """The calls under ``/v1/webhooks``."""

    transport: Transport

    async def create(
        self, webhook: NewWebhook, *, idempotency_key: str | None = None
    ) -> WebhookWithSecret:
        """Subscribe. The secret (``whsec_…``) is in this answer and in no later one."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
        answer = await self.transport.request("POST", "/v1/webhooks", body=webhook, headers=headers)
        return answer.decoded(WebhookWithSecret)

    async def get(self, webhook_id: str) -> Webhook:
        """Return one subscription."""
        answer = await self.transport.request("GET", _path(webhook_id))
        return answer.decoded(Webhook)

    async def list(self) -> AsyncIterator[Webhook]:
        """Yield all subscriptions of the tenant."""
        cursor: str | None = None
        while True:
            params = {"cursor": cursor} if cursor else None
            answer = await self.transport.request("GET", "/v1/webhooks", params=params)
            page = answer.decoded(WebhookPage)
            for webhook in page.items:
                yield webhook
            if (cursor := page.next) is None:
                return

    async def delete(self, webhook_id: str) -> None:
        """End a subscription; pending deliveries end with it."""
        await self.transport.request("DELETE", _path(webhook_id))

    async def rotate_secret(self, webhook_id: str) -> WebhookWithSecret:
        """Make a new secret. The old one signs along for a day."""
        path = f"{_path(webhook_id)}/rotate-secret"
        answer = await self.transport.request("POST", path)
        return answer.decoded(WebhookWithSecret)

    async def deliveries(self, webhook_id: str) -> AsyncIterator[WebhookDelivery]:
        """Yield the deliveries of a subscription, newest first."""
        cursor: str | None = None
        while True:
            params = {"cursor": cursor} if cursor else None
            path = f"{_path(webhook_id)}/deliveries"
            answer = await self.transport.request("GET", path, params=params)
            page = answer.decoded(WebhookDeliveriesListed)
            for delivery in page.deliveries:
                yield delivery
            if (cursor := page.next) is None:
                return

    async def redeliver(self, webhook_id: str, delivery_id: str | None = None) -> int:
        """Send one delivery again, or all failed ones; return how many were queued."""
        body = Redelivery(delivery_id=delivery_id)
        path = f"{_path(webhook_id)}/redeliver"
        answer = await self.transport.request("POST", path, body=body)
        return answer.decoded(WebhookRedeliveryQueued).count

    async def callback_secret(self) -> str:
        """Return the tenant's key (``whsec_…``) that signs what goes to a ``callback_url``."""
        answer = await self.transport.request("GET", "/v1/callback-secret")
        return answer.decoded(CallbackSecret).secret


def _path(webhook_id: str) -> str:
    return f"/v1/webhooks/{quote(webhook_id, safe='')}"
