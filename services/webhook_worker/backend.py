"""What the sender asks of the outside: one POST to a subscriber's endpoint."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Protocol

import msgspec


class Verdict(enum.Enum):
    """What an answer means for the message."""

    DELIVERED = "delivered"
    RETRY = "retry"
    GONE = "gone"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How one try went: the HTTP status, or why there was none, in words for the subscriber.

    ``retry_after`` is the endpoint's wish in seconds, taken from 429 and 503 only.
    """

    milliseconds: int
    status: int | None = None
    error: str | None = None
    retry_after: float | None = None

    @property
    def verdict(self) -> Verdict:
        """2xx is delivered, 410 ends the subscription, all else (3xx too) is tried again."""
        if self.status is not None and 200 <= self.status < 300:
            return Verdict.DELIVERED
        return Verdict.GONE if self.status == 410 else Verdict.RETRY


class Endpoint(Protocol):
    """Sends a webhook. Never raises for what the other side does: that is in the answer."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST ``body`` once, within the timeout."""
        ...

    async def close(self) -> None:
        """Close idle connections."""
        ...
