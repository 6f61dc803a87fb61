"""Standard Webhooks signatures, with secrets that are derived when needed and kept nowhere.

Source: the Standard Webhooks specification (webhook-id, webhook-timestamp, webhook-signature;
secrets ``whsec_<base64>``; several signatures, space separated, while secrets change).
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

import msgspec
from standardwebhooks import Webhook

from shared.runtime.secrets import derive

#: The scope of the one key of a tenant that signs all its ``callback_url`` deliveries.
CALLBACK = "callback"


class SigningKey(msgspec.Struct, frozen=True):
    """Which secrets sign. ``scope`` is a subscription's id, or `CALLBACK`.

    ``rotations`` are the last times at which the secret changed, oldest first: the last one ended
    ``generation - 1``, the one before it ``generation - 2``, and so on.
    """

    tenant: str
    scope: str
    generation: int = 1
    rotations: tuple[datetime, ...] = ()

    def signing_generations(self, now: datetime, overlap: timedelta) -> list[int]:
        """Return the present generation and those that ended less than ``overlap`` ago."""
        ended = enumerate(reversed(self.rotations), start=1)
        return [self.generation] + [self.generation - n for n, at in ended if now - at < overlap]


class Signer:
    """Derives secrets from the master key and signs with them."""

    def __init__(self, master: bytes, overlap: timedelta = timedelta(days=1)) -> None:
        self._master = master
        self._overlap = overlap

    def secret(self, key: SigningKey, generation: int | None = None) -> str:
        """Return the ``whsec_…`` secret of ``generation`` (default: the present one)."""
        number = str(key.generation if generation is None else generation)
        labels = (CALLBACK,) if key.scope == CALLBACK else ("webhook", key.scope)
        data = derive(self._master, *labels, key.tenant, number)
        return "whsec_" + base64.b64encode(data).decode("ascii")

    def headers(self, key: SigningKey, message_id: str, body: str, now: datetime) -> dict[str, str]:
        """Return the three headers; ``now`` (UTC) is the time of this attempt."""
        generations = key.signing_generations(now, self._overlap)
        hooks = [Webhook(self.secret(key, generation)) for generation in generations]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(hook.sign(message_id, now, body) for hook in hooks),
        }
