"""The trace of a request by HTTP: from its ``traceparent``, or begun here.

Sources: W3C Trace Context; OpenTelemetry's conventions for HTTP servers. Of the URL only the path
is recorded, since queries may carry what is nobody else's.
"""

from __future__ import annotations

from aiohttp import web

from shared.contract.identifiers import new_ulid
from shared.runtime import tracing
from shared.runtime.tracing import Kind, Span, span

#: What ``traceresponse`` tells the client: where its request is in which trace (W3C Trace Context,
#: the draft for responses). Kept on the request, for headers are written outside of the span.
TRACEPARENT = web.RequestKey("traceparent", str)
_LONGEST_PATH = 500


def serving(request: web.Request, method: str, route: str) -> Span:
    """The span of answering ``request``; ``route`` is the path's pattern, or ``none``."""
    known = route != "none"
    return span(
        f"{method} {route}" if known else method,
        kind=Kind.SERVER,
        parent=_sent(request),
        attributes={
            "http.request.method": method,
            "http.route": route if known else None,
            "url.path": request.path[:_LONGEST_PATH],
            "url.scheme": request.scheme,
        },
    )


def note(request: web.Request) -> str:
    """Keep on the request where in which trace it is; return its id.

    That is the trace's: one id to ask for, in logs and in traces.
    """
    here = tracing.current()
    if here is None:
        return new_ulid()
    request[TRACEPARENT] = here.traceparent
    return here.trace_id


def answered(of: Span, status: int) -> None:
    """Note the answer; only those that are our fault count as errors (as the conventions say)."""
    of.set({"http.response.status_code": status})
    if status >= 500:
        of.fail(str(status))


def _sent(request: web.Request) -> str | None:
    """The client's ``traceparent``; one that is sent twice is none."""
    sent = request.headers.getall("traceparent", [])
    return sent[0].strip() if len(sent) == 1 else None
