"""What operators and orchestrators ask every service: does it live, is it ready, its metrics."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from shared.runtime import metrics
from shared.runtime.tls import ServerCertificate

if TYPE_CHECKING:
    from shared.runtime.lifecycle import ReadinessCheck, Service

#: A check that takes longer (seconds) has failed.
CHECK_SECONDS = 3.0
#: How long requests under way may take when a server closes, in seconds.
_GOODBYE_SECONDS = 5.0

_SERVICE: web.AppKey[Service] = web.AppKey("service")


class Readiness(msgspec.Struct, frozen=True):
    """The body of ``/readyz``: 200 when ``ready``, else 503. Each check is "ok" or its fault."""

    ready: bool
    checks: dict[str, str]


def add_health_routes(app: web.Application, service: Service) -> None:
    """Add ``/healthz``, ``/readyz`` and ``/metrics``; all three are meant for insiders."""
    app[_SERVICE] = service
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)
    app.router.add_get("/metrics", _metrics)


async def serve_health(
    service: Service, host: str, port: int, *, certificate: ServerCertificate | None = None
) -> None:
    """Serve the health routes alone. Call it first in wiring: it then is the last to close."""
    app = web.Application()
    add_health_routes(app, service)
    await serve(app, service, host, port, certificate=certificate)


async def serve(
    app: web.Application,
    service: Service,
    host: str,
    port: int,
    *,
    certificate: ServerCertificate | None = None,
) -> None:
    """Serve ``app`` until ``service`` closes; requests under way then have some seconds left.

    With a ``certificate`` it is https, and nothing else is answered.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GOODBYE_SECONDS)
    await runner.setup()
    service.on_close(runner.cleanup)
    context = None if certificate is None else certificate.context()
    await web.TCPSite(runner, host, port, ssl_context=context).start()
    service.listening(runner.addresses)


async def check_readiness(service: Service) -> Readiness:
    """Run all checks side by side."""
    asked = dict(service.readiness)  # at the start more of them come while these are under way
    outcomes = await asyncio.gather(*(_outcome(check) for check in asked.values()))
    checks = dict(zip(asked, outcomes, strict=True))
    if not service.wired:
        checks["wiring"] = "not finished"
    if service.draining.is_set():
        checks["draining"] = "stopping"
    return Readiness(all(outcome == "ok" for outcome in checks.values()), checks)


async def _outcome(check: ReadinessCheck) -> str:
    """Return "ok" or what is wrong; any exception of a check is its outcome."""
    (result,) = await asyncio.gather(_bounded(check), return_exceptions=True)
    if isinstance(result, BaseException):
        return f"{type(result).__name__}: {result}".rstrip(": ")
    return "failed" if result is False else "ok"


async def _bounded(check: ReadinessCheck) -> object:
    async with asyncio.timeout(CHECK_SECONDS):
        result = check()
        return await result if inspect.isawaitable(result) else result


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _readyz(request: web.Request) -> web.Response:
    readiness = await check_readiness(request.app[_SERVICE])
    return web.Response(
        status=200 if readiness.ready else 503,
        body=msgspec.json.encode(readiness),
        content_type="application/json",
    )


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=metrics.exposition(), headers={"Content-Type": metrics.CONTENT_TYPE})
