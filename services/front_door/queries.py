"""Asking the owner of what the front door doesn't know, on behalf of the caller."""

from __future__ import annotations

from typing import TypeVar

from aiohttp import web

from services.front_door.context import REQUEST_ID, caller, front_door
from shared.bus import PublishRefused, QueryTimeout
from shared.contract.codec import envelope_for
from shared.contract.messages import Message
from shared.runtime import tracing
from shared.runtime.errors import BackendUnavailable
from shared.runtime.secrets import SealingKey, UnreadableSecret

_M = TypeVar("_M", bound=Message)


async def ask_owner(
    request: web.Request, owner: str, message: Message, wanted: type[_M], *, subject: str = ""
) -> _M:
    """Return ``owner``'s answer, a ``wanted``.

    Raises `QueryRefused` with the owner's own problem, `BackendUnavailable` when it doesn't answer.
    """
    parts, tenant = front_door(request), caller(request).tenant
    envelope = envelope_for(
        message,
        source=parts.source,
        subject=subject or tenant,
        tenant=tenant,
        correlationid=request[REQUEST_ID],
        traceparent=tracing.traceparent(),
    )
    try:
        answer = await parts.bus.query(
            owner, envelope, message, timeout=parts.settings.query_seconds
        )
    except (QueryTimeout, PublishRefused) as error:
        detail = f"{owner} does not answer at the moment."
        raise BackendUnavailable(detail, retry_after=5) from error
    if not isinstance(answer, wanted):
        raise BackendUnavailable(f"{owner} answered something else.", retry_after=5)
    return answer


def opened(owner: str, key: SealingKey, sealed: str | None) -> str:
    """Return the secret that ``owner`` has sealed to ``key``; raises `BackendUnavailable`."""
    try:
        return key.open_text(sealed or "")
    except UnreadableSecret as error:
        detail = f"{owner} answered without a readable secret."
        raise BackendUnavailable(detail, retry_after=5) from error
