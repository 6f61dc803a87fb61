"""Serving queries: a handler returns the answer or raises; either way the asker is told.

Nothing is delayed or tried again here: a query lives no longer than its asker waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.bus.delivery import Delivery, Incoming
from shared.bus.errors import PublishFailed, PublishRefused, Unroutable
from shared.bus.publisher import Publication, Publisher
from shared.bus.settlement import Settlement
from shared.contract.codec import Envelope, UndecodableMessage, encode, envelope_for
from shared.contract.messages import Message, QueryFailed
from shared.contract.problems import Problem
from shared.runtime.errors import ColobusError

QueryHandler = Callable[[Envelope, Message], Awaitable[Message]]

_ANSWER_TIMEOUT = 5.0
_DIRECT = "amq.rabbitmq.reply-to."
_FAULT = Problem(title="Internal error", status=500, retryable=True)

_log = structlog.get_logger(__name__)


class QueryServer:
    """The two halves that a `Consumer` wants: `handle` a query, `settle` a failed one."""

    def __init__(
        self, publisher: Publisher, settlement: Settlement, source: str, handler: QueryHandler
    ) -> None:
        self._publisher = publisher
        self._settlement = settlement
        self._source = source
        self._handler = handler

    async def handle(self, delivery: Delivery) -> None:
        """Ask the handler and send its answer."""
        answer = await self._handler(delivery.envelope, delivery.message)
        properties = (delivery.reply_to, delivery.correlation_id, delivery.user_id)
        await self._reply(answer, delivery.envelope, *properties)

    async def settle(self, incoming: Incoming, failure: BaseException) -> str:
        """Answer with a problem; garbage goes to the dead letters as well."""
        envelope, outcome = None, "answered"
        if isinstance(failure, UndecodableMessage):
            outcome = await self._settlement.bury(incoming, str(failure), "undecodable")
            problem = Problem(title="Undecodable query", status=400, detail=str(failure))
        else:
            envelope = incoming.decode().envelope
            problem = _problem(failure)
        properties = (incoming.reply_to, incoming.correlation_id, incoming.user_id)
        await self._reply(QueryFailed(problem=problem), envelope, *properties)
        return outcome

    async def _reply(
        self,
        answer: Message,
        query: Envelope | None,
        reply_to: str | None,
        correlation_id: str | None,
        user_id: str | None,
    ) -> None:
        if reply_to is None or not _may_reply(reply_to, user_id):
            _log.warning("query without a reply address that may be used", user=user_id)
            return
        envelope = envelope_for(
            answer,
            source=self._source,
            subject=query.subject if query else "",
            tenant=query.tenant if query else "",
            correlationid=query.correlationid if query else None,
            causationid=query.id if query else None,
        )
        publication = Publication(
            exchange="",
            routing_key=reply_to,
            body=encode(envelope, answer),
            message_id=envelope.id,
            type=envelope.type,
            correlation_id=correlation_id,
            persistent=False,
            mandatory=False,  # the broker counts a direct reply as not routed
        )
        try:
            await self._publisher.publish(publication, timeout=_ANSWER_TIMEOUT)
        except (PublishFailed, PublishRefused, Unroutable) as error:
            _log.warning("answer not sent, its asker will time out", error=error.detail)


def _may_reply(reply_to: str, user_id: str | None) -> bool:
    """Only to direct reply-to, or to the asker's own queues (validated user-id)."""
    return reply_to.startswith(_DIRECT) or (
        user_id is not None and reply_to.startswith(f"{user_id}.")
    )


def _problem(failure: BaseException) -> Problem:
    if isinstance(failure, ColobusError):
        return failure.problem()
    if not isinstance(failure, asyncio.CancelledError):
        _log.error("query handler failed", exc_info=failure)
    return _FAULT
