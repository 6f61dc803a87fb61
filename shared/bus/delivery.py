"""A delivery: what the broker handed us (`Incoming`), what a handler gets (`Delivery`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiormq.abc import DeliveredMessage

from shared.contract.codec import Envelope, decode
from shared.contract.messages import Message

#: Headers of ours. The ones on copies count only on copies: publishers could forge them.
REPEATED = "x-colobus-repeated"
REASON = "x-colobus-reason"
QUEUE = "x-colobus-queue"
EXCHANGE = "x-colobus-exchange"
ROUTING_KEY = "x-colobus-routing-key"
USER = "x-colobus-user"
DELAYS = "x-colobus-delays"
FAULTS = "x-colobus-faults"

_OF_COPIES = (REASON, QUEUE, EXCHANGE, ROUTING_KEY, USER, DELAYS, FAULTS)
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Delivery:
    """One message for a handler.

    ``repeated``: this may be a second delivery, so look before you make. ``user_id`` is who
    published it first, as validated by the broker. ``headers`` are the broker's own, as received.
    ``body`` is the CloudEvent as it came; ``delays``: so often it was given back for later.
    """

    envelope: Envelope
    message: Message
    queue: str
    routing_key: str
    headers: dict[str, Any]
    user_id: str | None
    reply_to: str | None
    repeated: bool
    exchange: str = ""
    correlation_id: str | None = None
    body: bytes = b""
    delays: int = 0

    @property
    def given_up(self) -> tuple[str, str] | None:
        """The queue where the broker itself gave it up last, and why; None where it did not.

        Whatever a publisher writes into ``x-death``, the broker puts its own entry in front of it
        (rabbitmq.com/docs/dlx); a copy of ours carries none but that of the delay it comes from.
        """
        deaths = None if self.delays else self.headers.get("x-death")
        if not deaths:
            return None
        last = deaths[0] if isinstance(deaths, list) else None
        if not isinstance(last, dict):
            return "", ""  # not the broker's own words
        return str(last.get("queue")), str(last.get("reason"))


@dataclass(frozen=True)
class Incoming:
    """A message as it came, decodable or not, with the origin of a delayed copy restored."""

    queue: str
    body: bytes
    exchange: str
    routing_key: str
    headers: dict[str, Any]
    user_id: str | None
    reply_to: str | None
    correlation_id: str | None
    message_id: str | None
    type: str | None
    content_type: str | None
    redelivered: bool
    delays: int
    faults: int

    @classmethod
    def read(cls, raw: DeliveredMessage, queue: str, own_users: frozenset[str]) -> Incoming:
        """Read what the broker delivered from ``queue``; never raises, whatever is in it.

        ``own_users``: a delayed copy is believed only when one of us published it.
        """
        properties = raw.header.properties
        headers: dict[str, Any] = dict(properties.headers or {})
        is_copy = properties.user_id in own_users and headers.get(QUEUE) == queue
        origin: Mapping[str, Any] = headers if is_copy else {}
        return cls(
            queue=queue,
            body=raw.body,
            exchange=str(origin.get(EXCHANGE, raw.exchange or "")),
            routing_key=str(origin.get(ROUTING_KEY, raw.routing_key or "")),
            headers=headers,
            user_id=origin.get(USER) if is_copy else properties.user_id,
            reply_to=properties.reply_to,
            correlation_id=properties.correlation_id,
            message_id=properties.message_id,
            type=properties.message_type,
            content_type=properties.content_type,
            redelivered=bool(getattr(raw.delivery, "redelivered", False)),
            delays=_count(origin.get(DELAYS)),
            faults=_count(origin.get(FAULTS)),
        )

    @property
    def repeated(self) -> bool:
        """Whether somebody may have worked on this message already."""
        return (
            self.redelivered
            or self.delays > 0
            or _count(self.headers.get("x-delivery-count")) > 0
            or bool(self.headers.get(REPEATED))
        )

    def decode(self) -> Delivery:
        """Return it for a handler; raises `UndecodableMessage`."""
        envelope, message = decode(self.body)
        return Delivery(
            envelope=envelope,
            message=message,
            queue=self.queue,
            routing_key=self.routing_key,
            headers=self.headers,
            user_id=self.user_id,
            reply_to=self.reply_to,
            repeated=self.repeated,
            exchange=self.exchange,
            correlation_id=self.correlation_id,
            body=self.body,
            delays=self.delays,
        )

    def headers_to_keep(self) -> dict[str, str | int | bool | float]:
        """The sender's headers that may travel on with a copy.

        Not the broker's own (x-death would look like a cycle), nor CC and BCC (they route), nor
        forged ones of ours, nor what may not fit into AMQP again.
        """
        return {
            name: value
            for name, value in self.headers.items()
            if (name == REPEATED or not name.lower().startswith("x-"))
            and name not in ("CC", "BCC")
            and name not in _OF_COPIES
            and isinstance(value, str | int | bool | float)
            and (not isinstance(value, int) or abs(value) <= _LARGEST)
        }


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
