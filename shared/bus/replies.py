"""Replies: what is sent to a message's ``reply_to``, on its best effort.

The one place that decides which addresses may be used. Nobody waits for a reply to be taken: a
queue that refuses it, or a broker that is away for longer than a moment, loses it.
"""

from __future__ import annotations

from typing import Protocol

import structlog

from shared.bus.errors import PublishFailed, PublishRefused, Unroutable
from shared.bus.publisher import Publication, Publisher
from shared.contract.codec import Envelope, encode, envelope_for
from shared.contract.messages import Message
from shared.runtime import tracing

#: How long the broker may take to have it, in seconds.
REPLY_TIMEOUT = 5.0
#: Addresses of direct reply-to (rabbitmq.com/docs/direct-reply-to); they can't be guessed.
_DIRECT = "amq.rabbitmq.reply-to."

_log = structlog.get_logger(__name__)


class Asked(Protocol):
    """The properties of a message that say where its reply goes: a `Delivery` or `Incoming`.

    ``user_id`` is the original publisher's, also on a copy that we published ourselves.
    """

    @property
    def reply_to(self) -> str | None:
        """Where its sender wants the reply."""

    @property
    def correlation_id(self) -> str | None:
        """What the reply carries back as it is."""

    @property
    def user_id(self) -> str | None:
        """Who sent it, as validated by the broker."""


def may_reply(reply_to: str, user_id: str | None) -> bool:
    """Tell whether it is direct reply-to, or one of the sender's own queues, ``<user>.…``."""
    return reply_to.startswith(_DIRECT) or (
        user_id is not None and reply_to.startswith(f"{user_id}.")
    )


class Replies:
    """Sends them; ``source`` is who says so in the CloudEvent."""

    def __init__(self, publisher: Publisher, source: str) -> None:
        self._publisher = publisher
        self._source = source

    async def send(
        self, reply: Message, to: Asked, about: Envelope | None, *, subject: str | None = None
    ) -> None:
        """Send ``reply`` where ``to`` wants it; ``about`` is its envelope, where it has one.

        ``subject`` is the resource that the reply tells of, if the message named none.
        Returns also when it could not be sent. A message without ``reply_to`` wants none.
        """
        if to.reply_to is None:
            return
        if not may_reply(to.reply_to, to.user_id):
            _log.warning("reply address that may not be used", user=to.user_id)
            return
        try:
            envelope = self._envelope(reply, about, subject)
            publication = Publication(
                exchange="",
                routing_key=to.reply_to,
                body=encode(envelope, reply),
                message_id=envelope.id,
                type=envelope.type,
                correlation_id=to.correlation_id,
                persistent=False,
                mandatory=False,  # the broker counts a direct reply as not routed
                insistent=False,
            )
            await self._publisher.publish(publication, timeout=REPLY_TIMEOUT)
        except (PublishFailed, PublishRefused, Unroutable) as error:
            _log.warning("reply not sent", user=to.user_id, error=error.detail)

    def _envelope(self, reply: Message, about: Envelope | None, subject: str | None) -> Envelope:
        return envelope_for(
            reply,
            source=self._source,
            subject=subject or (about.subject if about else ""),
            tenant=about.tenant if about else "",
            correlationid=(about.correlationid or about.id) if about else None,
            causationid=about.id if about else None,
            traceparent=tracing.traceparent(),
        )
