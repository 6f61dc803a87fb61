"""The trace of a delivery: that of the event it tells of, which its body keeps over crashes.

Source: OpenTelemetry's conventions for HTTP clients. The URL is not recorded, only its host: with
many subscribers the path is the secret.
"""

from __future__ import annotations

import msgspec
from yarl import URL

from services.webhook_worker.backend import Answer, Verdict
from services.webhook_worker.claims import Claimed
from shared.runtime import tracing
from shared.runtime.tracing import Attributes, Kind, Span, span


class _Event(msgspec.Struct):
    traceparent: str | None = None


_event = msgspec.json.Decoder(_Event)


def delivering(claimed: Claimed) -> Span:
    """The span of one try."""
    return span(
        "POST",
        kind=Kind.CLIENT,
        parent=_event.decode(claimed.body).traceparent,
        attributes=_attributes(claimed) if tracing.recording() else None,
    )


def answered(of: Span, answer: Answer) -> None:
    """Note what became of it."""
    of.set({"http.response.status_code": answer.status})
    if answer.verdict is not Verdict.DELIVERED:
        of.fail("_OTHER" if answer.status is None else str(answer.status))


def headers() -> dict[str, str]:
    """What tells the subscriber which trace this is part of."""
    place = tracing.traceparent()
    return {} if place is None else {"traceparent": place}


def _attributes(claimed: Claimed) -> Attributes:
    url = URL(claimed.url)
    return {
        "http.request.method": "POST",
        "server.address": url.host,
        "server.port": url.port,
        "url.scheme": url.scheme,
        "http.request.resend_count": claimed.tries or None,
        "colobus.tenant": claimed.tenant,
        "colobus.webhook": claimed.subscription_id,
        "colobus.resource": claimed.resource_id,
    }
