"""What a subscriber gets as the body: the status message, without what is ours alone. Pure."""

from __future__ import annotations

import msgspec

from shared.contract.codec import Envelope, encode
from shared.contract.kinds import without_secrets
from shared.contract.messages import ResourceStatusChanged


def public_body(envelope: Envelope, message: ResourceStatusChanged) -> str:
    """Return the CloudEvent as JSON.

    It has no ``callback_url`` (which may carry a token of its owner's) and no secret field of the
    spec, sealed or not; of the envelope it has what tells the event, its order and its request.
    """
    public = msgspec.structs.replace(
        message, callback_url=None, resource=without_secrets(message.resource)
    )
    inner = {"causationid": None, "attempt": None, "step": None, "not_after": None}
    return encode(msgspec.structs.replace(envelope, **inner), public).decode()


def changes_phase(message: ResourceStatusChanged) -> bool:
    """Tell whether subscribers hear of it: the resource is new, or in another phase than before.

    What changes within a phase (steps, the place in the queue, labels) is for the event stream.
    """
    return message.previous_phase != message.resource.status.phase
