"""The event that says a subscription was disabled."""

from __future__ import annotations

from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.messages import Webhook, WebhookDisabled
from shared.contract.outgoing import OutgoingMessage
from shared.contract.problems import Problem
from shared.runtime import tracing

SOURCE = "colobus/webhook_worker"


def webhook_disabled(tenant: str, webhook: Webhook) -> OutgoingMessage:
    """Return the event; its id is the same however often it is made for the same occasion."""
    problem = Problem(
        title="Webhook disabled", detail=webhook.disabled_reason, reason="webhook_disabled"
    )
    message = WebhookDisabled(webhook_id=webhook.id, url=webhook.url, problem=problem)
    occasion = int(webhook.disabled_at.timestamp() * 1e6) if webhook.disabled_at else 0
    envelope = envelope_for(
        message,
        id=f"{webhook.id}/WebhookDisabled/{occasion}",
        source=SOURCE,
        subject=webhook.resource_id or webhook.id,
        tenant=tenant,
        traceparent=tracing.traceparent(),
    )
    return outgoing.event("webhook", envelope, message)
