"""Messages for the outbox."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.messages import ResourceStatusChanged
from shared.contract.outgoing import OutgoingMessage
from shared.contract.resources import Phase, Resource, Status

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def status_message(
    id: str, *, resource_id: str = "vm-1", revision: int = 1, traceparent: str | None = None
) -> OutgoingMessage:
    """A status message with this id about this resource."""
    resource = Resource(
        id=resource_id,
        kind="vm",
        tenant="bigtop",
        spec={},
        status=Status(phase=Phase.ACTIVE),
        created_at=NOW,
        updated_at=NOW,
        revision=revision,
    )
    message = ResourceStatusChanged(resource=resource)
    envelope = envelope_for(
        message,
        id=id,
        source="colobus/scheduler",
        subject=resource_id,
        tenant="bigtop",
        time=NOW,
        sequence=revision,
        traceparent=traceparent,
    )
    return outgoing.status(envelope, message)
