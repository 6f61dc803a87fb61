"""A cluster's API server that says what the test wants: a hostile tenant's, for example.

It is a real HTTPS server with a certificate of its cluster's authority, and wants one of that from
who asks: so much anybody has who owns a cluster.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from services.k8s_worker.backend import Access
from tests.support.tls import Authority

HOST = "127.0.0.1"
Talk = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class ScriptedServer:
    """``answers``: what it says by "METHOD /path": JSON, a (status, JSON), bytes, or a function."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    access: Access = field(init=False)

    async def was_asked(self) -> bool:
        """Tell whether a request has come."""
        return bool(self.asked)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request as the script says; 404 for what it doesn't have."""
        what = f"{request.method} {request.path}"
        self.asked.append(what)
        self.queries.append(request.query_string)
        text = await request.text()
        self.bodies.append(json.loads(text) if text else None)
        said = self.answers.get(what, (404, {"message": "there is none"}))
        if callable(said):
            answer: web.StreamResponse = await said(request)
            return answer
        if isinstance(said, bytes):
            return web.Response(body=said, content_type="application/json")
        status, body = said if isinstance(said, tuple) else (200, said)
        return web.json_response(body, status=status)


@asynccontextmanager
async def api_server(folder: Path, **answers: Any) -> AsyncIterator[ScriptedServer]:
    """Provide one; ``answers`` are its first."""
    authority = Authority.make(folder / "authority")
    server = ScriptedServer(dict(answers))
    runner = web.AppRunner(_application(server), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0, ssl_context=_context(authority))
    await site.start()
    port = runner.addresses[0][1]
    server.access = access_to(authority, f"https://{HOST}:{port}")
    try:
        yield server
    finally:
        await runner.cleanup()


def access_to(authority: Authority, address: str) -> Access:
    """Return what opens a server of that authority."""
    issued = authority.ca.issue_cert("colobus")
    return Access(
        address=address,
        authority=authority.file.read_text(),
        certificate=b"".join(one.bytes() for one in issued.cert_chain_pems).decode(),
        key=issued.private_key_pem.bytes().decode(),
        expires_at=datetime(2099, 1, 1, tzinfo=UTC),
    )


def _application(server: ScriptedServer) -> web.Application:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    return application


def _context(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue(HOST))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    return context
