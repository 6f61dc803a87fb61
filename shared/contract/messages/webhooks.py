"""Subscriptions and deliveries: the webhook_worker's event, queries and their answers."""

from __future__ import annotations

from shared.contract.messages.base import Message
from shared.contract.problems import Problem
from shared.contract.resources import Moment, Phase


class WebhookDisabled(Message, frozen=True):
    """An endpoint kept failing; deliveries to it have stopped."""

    webhook_id: str
    url: str
    problem: Problem


class CreateWebhook(Message, frozen=True):
    """→ webhook_worker: subscribe. ``webhook_id`` is minted by the asker, so a repeat is harmless.

    ``phases`` and ``kinds`` say which changes (empty: all).
    """

    webhook_id: str
    url: str
    phases: tuple[Phase, ...] = ()
    kinds: tuple[str, ...] = ()
    description: str | None = None
    reply_public_key: str | None = None


class Webhook(Message, frozen=True):
    """A subscription as shown to its owner. ``sealed_secret`` only in the answer to its making."""

    id: str
    url: str
    created_at: Moment
    phases: tuple[Phase, ...] = ()
    kinds: tuple[str, ...] = ()
    description: str | None = None
    resource_id: str | None = None
    disabled_at: Moment | None = None
    disabled_reason: str | None = None
    sealed_secret: str | None = None


class ListWebhooks(Message, frozen=True):
    """→ webhook_worker: the tenant's subscriptions."""

    after: str | None = None
    limit: int = 100


class WebhooksListed(Message, frozen=True):
    """A page of subscriptions; ``next`` continues it."""

    webhooks: tuple[Webhook, ...]
    next: str | None = None


class GetWebhook(Message, frozen=True):
    """→ webhook_worker: one subscription."""

    webhook_id: str


class DeleteWebhook(Message, frozen=True):
    """→ webhook_worker: end a subscription; its pending deliveries end with it."""

    webhook_id: str


class WebhookDeleted(Message, frozen=True):
    """The subscription is gone (also when it already was)."""

    webhook_id: str


class RotateWebhookSecret(Message, frozen=True):
    """→ webhook_worker: a new secret; the old one signs along for a day."""

    webhook_id: str
    reply_public_key: str


class GetCallbackSecret(Message, frozen=True):
    """→ webhook_worker: the tenant's key for ``callback_url`` deliveries, sealed to the asker."""

    reply_public_key: str


class CallbackSecretIssued(Message, frozen=True):
    """The sealed ``whsec_…`` secret (base64 of a libsodium sealed box)."""

    sealed_secret: str


class ListWebhookDeliveries(Message, frozen=True):
    """→ webhook_worker: the deliveries of one subscription, newest first."""

    webhook_id: str
    after: str | None = None
    limit: int = 100


class WebhookAttempt(Message, frozen=True):
    """One try: the HTTP status, or the error when there was none."""

    at: Moment
    status: int | None = None
    error: str | None = None
    milliseconds: int | None = None


class WebhookDelivery(Message, frozen=True):
    """One message to one endpoint. ``state``: pending, delivered, failed, cancelled."""

    id: str
    webhook_id: str
    resource_id: str
    sequence: int
    state: str
    created_at: Moment
    next_attempt_at: Moment | None = None
    attempts: tuple[WebhookAttempt, ...] = ()


class WebhookDeliveriesListed(Message, frozen=True):
    """A page of deliveries; ``next`` continues it."""

    deliveries: tuple[WebhookDelivery, ...]
    next: str | None = None


class RedeliverWebhook(Message, frozen=True):
    """→ webhook_worker: send again one delivery, or (None) all failed ones of the subscription."""

    webhook_id: str
    delivery_id: str | None = None


class WebhookRedeliveryQueued(Message, frozen=True):
    """How many deliveries were queued again."""

    count: int
