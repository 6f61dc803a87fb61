"""Around every request: its id, its line in the log, its metrics, and every error as a problem."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
import structlog
from aiohttp import web
from prometheus_client import Histogram

from services.front_door import traces
from services.front_door.answers import problem_answer
from services.front_door.auth import CALLER
from services.front_door.bodies import too_large
from services.front_door.context import REQUEST_ID
from services.front_door.faults import RequestFault
from shared.contract.problems import Problem
from shared.runtime.errors import ColobusError, TemporaryError
from shared.runtime.metrics import REGISTRY

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}

_log = structlog.get_logger(__name__)
_SECONDS = Histogram(
    "colobus_http_request_seconds",
    "Time to answer, streams and waits included",
    ["method", "route", "status"],
    registry=REGISTRY,
)


@web.middleware
async def observed(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Give the request its trace and id, answer it, and write one line about it."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    method = request.method if request.method in _METHODS else "other"
    if route in _QUIET:
        return await _measured(request, handler, method, route)
    with traces.serving(request, method, route) as span:
        response = await _measured(request, handler, method, route)
        traces.answered(span, response.status)
    return response


async def _measured(
    request: web.Request, handler: _Handler, method: str, route: str
) -> web.StreamResponse:
    request[REQUEST_ID] = traces.note(request)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request=request[REQUEST_ID])
    began = time.perf_counter()
    response = await _answered(request, handler)
    seconds = time.perf_counter() - began
    _SECONDS.labels(method, route, str(response.status)).observe(seconds)
    _log.log(
        logging.DEBUG if route in _QUIET else logging.INFO,
        "answered",
        method=method,
        route=route,
        id=request.match_info.get("id"),
        status=response.status,
        seconds=round(seconds, 4),
        tenant=request[CALLER].tenant if CALLER in request else None,
    )
    return response


#: Asked for all day long by machines: no line in the log unless somebody debugs.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add what every answer carries (a signal: streams have sent theirs when they return)."""
    response.headers["Server"] = "colobus"  # aiohttp would tell its version
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if REQUEST_ID in request:
        response.headers["X-Request-Id"] = request[REQUEST_ID]
    if traces.TRACEPARENT in request:
        response.headers["traceresponse"] = request[traces.TRACEPARENT]


async def _answered(request: web.Request, handler: _Handler) -> web.StreamResponse:
    instance = f"urn:colobus:request:{request[REQUEST_ID]}"
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        error: ColobusError = too_large()
    except web.HTTPException as raised:  # aiohttp's own: no such path or method
        return problem_answer(_http_problem(raised), instance=instance, headers=_kept(raised))
    except ColobusError as raised:
        error = raised
    except Exception:  # noqa: BLE001 - the boundary: a problem for the client, a trace for us
        _log.exception("request failed")
        problem = Problem(
            title="Internal error",
            status=500,
            detail="The error has been logged under the id of this request.",
            reason="internal_error",
        )
        return problem_answer(problem, instance=instance)
    return problem_answer(_problem(error), instance=instance, headers=_headers(error))


def _problem(error: ColobusError) -> Problem:
    """Return the error's problem with a status: where it has none, 503 if it may pass, else 502."""
    problem = error.problem()
    if problem.status is None or not 400 <= problem.status < 600:
        status = 503 if problem.retryable else 502
        problem = msgspec.structs.replace(problem, status=status)
    if problem.status is not None and problem.status >= 500:
        _log.warning("request not served", status=problem.status, error=str(error))
    return problem


def _headers(error: ColobusError) -> dict[str, str]:
    if isinstance(error, RequestFault):
        return error.headers
    if isinstance(error, TemporaryError) or error.problem().retryable:
        after = getattr(error, "retry_after", None) or 5
        return {"Retry-After": str(math.ceil(after))}
    return {}


def _http_problem(error: web.HTTPException) -> Problem:
    phrase = HTTPStatus(error.status).phrase
    details = {
        404: "There is nothing at this path.",
        405: "This path doesn't have this method.",
    }
    reason = phrase.lower().replace(" ", "_")
    return Problem(
        title=phrase, status=error.status, detail=details.get(error.status), reason=reason
    )


def _kept(error: web.HTTPException) -> dict[str, str]:
    return {name: error.headers[name] for name in ("Allow",) if name in error.headers}
