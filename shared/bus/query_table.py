"""A service's queries as a table: which function answers which question."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from shared.bus.answers import QueryHandler
from shared.contract.codec import Envelope
from shared.contract.messages import Message
from shared.contract.problems import Reason
from shared.runtime.errors import PermanentError

C = TypeVar("C")
#: Answers for a tenant (the first argument), or raises a `ColobusError`, which the asker is told.
Answerer: TypeAlias = Callable[[str, Any, C], Awaitable[Message]]
QueryHandlers: TypeAlias = Mapping[type[Message], Answerer[C]]


def answering(owner: str, handlers: QueryHandlers[C], context: C) -> QueryHandler:
    """Return what `Bus.serve_queries` wants; a question that isn't in the table is refused."""

    async def answer(envelope: Envelope, query: Message) -> Message:
        handler = handlers.get(type(query))
        if handler is None:
            detail = f"{owner} answers no {envelope.message_name}"
            raise PermanentError(detail, reason=Reason.COMMAND_REJECTED, status=400)
        return await handler(envelope.tenant, query, context)

    return answer
