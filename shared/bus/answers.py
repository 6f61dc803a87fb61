"""Answering: queries always, requests where their sender wants it and where they are refused.

A query's handler returns the answer or raises; either way the asker is told. Nothing is delayed
or tried again there: a query lives no longer than its asker waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from shared.bus.delivery import Delivery, Incoming
from shared.bus.errors import RejectedMessage
from shared.bus.replies import Replies
from shared.bus.settlement import Settlement
from shared.contract.codec import Envelope, UndecodableMessage
from shared.contract.messages import Message, QueryFailed
from shared.contract.problems import Problem
from shared.runtime.errors import ColobusError

QueryHandler = Callable[[Envelope, Message], Awaitable[Message]]

_FAULT = Problem(title="Internal error", status=500, retryable=True)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Refusals:
    """What becomes of messages that are refused: ``answer`` makes what their sender is told, from
    body and problem; ``keep`` what of a body may lie among the dead letters.
    """

    answer: Callable[[bytes, Problem], Message]
    keep: Callable[[bytes], bytes]


class QueryServer:
    """The two halves that a `Consumer` wants: `handle` a query, `settle` a failed one."""

    def __init__(self, replies: Replies, settlement: Settlement, handler: QueryHandler) -> None:
        self._replies = replies
        self._settlement = settlement
        self._handler = handler

    async def handle(self, delivery: Delivery) -> None:
        """Ask the handler and send its answer."""
        answer = await self._handler(delivery.envelope, delivery.message)
        if delivery.reply_to is None:
            _log.warning("query without a reply address", user=delivery.user_id)
        await self._replies.send(answer, delivery, delivery.envelope)

    async def settle(self, incoming: Incoming, failure: BaseException) -> str:
        """Answer with a problem; garbage goes to the dead letters as well."""
        outcome = "answered"
        if isinstance(failure, UndecodableMessage):
            outcome = await self._settlement.bury(incoming, str(failure), "undecodable")
        elif not isinstance(failure, ColobusError | asyncio.CancelledError):
            _log.error("query handler failed", exc_info=failure)
        answer = QueryFailed(problem=_problem(failure))
        await self._replies.send(answer, incoming, _envelope(incoming))
        return outcome


class RefusalServer:
    """What a `Consumer` settles with whose senders are told what went to the dead letters."""

    def __init__(self, replies: Replies, settlement: Settlement, refusals: Refusals) -> None:
        self._replies = replies
        self._settlement = settlement
        self._refusals = refusals

    async def __call__(self, incoming: Incoming, failure: BaseException) -> str:
        """Make the message safe elsewhere first; then its sender is told, if that was its end."""
        kept = incoming
        if isinstance(failure, UndecodableMessage | RejectedMessage):
            kept = replace(incoming, body=self._refusals.keep(incoming.body))
        outcome = await self._settlement(kept, failure)
        if outcome == "dead_lettered" and incoming.reply_to is not None:
            refusal = self._refusals.answer(incoming.body, _problem(failure))
            await self._replies.send(refusal, incoming, _envelope(incoming))
        return outcome


def _envelope(incoming: Incoming) -> Envelope | None:
    try:
        return incoming.decode().envelope
    except UndecodableMessage:
        return None


def _problem(failure: BaseException) -> Problem:
    if isinstance(failure, UndecodableMessage):
        return Problem(
            title="Undecodable message", status=400, detail=str(failure), reason="undecodable"
        )
    if isinstance(failure, ColobusError):
        return failure.problem()
    return _FAULT
