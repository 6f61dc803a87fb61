"""Status messages become deliveries: recorded and committed, then acknowledged, then sent."""

from __future__ import annotations

from services.webhook_worker import deliveries, subscriptions
from services.webhook_worker.announcement import webhook_disabled
from services.webhook_worker.context import Context
from services.webhook_worker.metrics import DISABLED
from services.webhook_worker.public_event import changes_phase, public_body
from shared.bus import Delivery, RejectedMessage
from shared.contract.codec import Envelope
from shared.contract.messages import ResourceStatusChanged
from shared.contract.outgoing import OutgoingMessage
from shared.contract.resources import TERMINAL_PHASES
from shared.runtime.url_policy import check_callback_url
from shared.storage import Connection, first_delivery


async def handle_status(delivery: Delivery, context: Context) -> None:
    """Queue a delivery for each subscription that wants to hear of it.

    Subscribers hear of changes of phase; a message of a change within a phase has no effect.
    """
    message, envelope = delivery.message, delivery.envelope
    if not isinstance(message, ResourceStatusChanged):
        raise RejectedMessage(f"{envelope.message_name} is no status message")
    if envelope.tenant != message.resource.tenant:
        raise RejectedMessage("the envelope and the resource name different tenants")
    if not changes_phase(message):
        return
    async with context.turns.hold(message.resource.id):
        await resource_status_changed(envelope, message, context)


async def resource_status_changed(
    envelope: Envelope, message: ResourceStatusChanged, context: Context
) -> None:
    """Record a change of phase: the subscription of its ``callback_url``, and the deliveries."""
    resource = message.resource
    async with context.database.transaction() as tx:
        if not await first_delivery(tx, envelope):
            return
        news = await _subscribe_callback(tx, message, context)
        await deliveries.queue(tx, envelope, resource, public_body(envelope, message))
        if resource.status.phase in TERMINAL_PHASES and message.callback_url is not None:
            await subscriptions.end_callback(tx, resource.tenant, resource.id)
        batch = await context.outbox.put(tx, news)
    context.outbox.send(batch)
    context.wake()


async def _subscribe_callback(
    tx: Connection, message: ResourceStatusChanged, context: Context
) -> list[OutgoingMessage]:
    """Make the subscription of the ``callback_url`` once; return the event if it is refused."""
    url, resource = message.callback_url, message.resource
    if url is None:
        return []
    refusal = _refusal(url, context)
    made = await subscriptions.add_callback(tx, resource.tenant, resource.id, url, refusal)
    if not made or refusal is None:
        return []
    DISABLED.inc()
    id = subscriptions.callback_id(resource.id)
    return [webhook_disabled(resource.tenant, await subscriptions.get(tx, resource.tenant, id))]


def _refusal(url: str, context: Context) -> str | None:
    """Why nothing may be sent to ``url``; requests from the bus pass no front door's check."""
    try:
        check_callback_url(url, context.allowed_networks)
    except ValueError as error:
        return f"the callback_url {error}"
    return None
