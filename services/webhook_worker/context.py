"""What handlers, queries and rounds work with, wired once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from services.webhook_worker.settings import WebhookSettings
from services.webhook_worker.signing import Signer
from shared.runtime.locks import KeyedLocks
from shared.runtime.url_policy import Network
from shared.storage import Database, Outbox


@dataclass(frozen=True)
class Context:
    """The webhook worker's parts. ``wake`` tells our own sender that there is something new.

    ``turns``: what concerns one resource is handled in the order of its arrival.
    """

    settings: WebhookSettings
    database: Database
    outbox: Outbox
    signer: Signer
    allowed_networks: tuple[Network, ...]
    wake: Callable[[], None]
    turns: KeyedLocks = field(default_factory=KeyedLocks)
