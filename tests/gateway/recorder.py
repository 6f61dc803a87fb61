"""A proxy before the real API that keeps what is asked and what is answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.exchanges import Exchange, Recording, masked

#: The portal's address in recordings, whatever it was (RFC 5737: of no network).
ADDRESS = "192.0.2.1"


class Recorder:
    """Passes calls on, as they are. ``installation`` is whose things recorded settings show."""

    def __init__(self, url: str, recording: Recording, installation: str, portal: str) -> None:
        self._url = url
        self._recording = recording
        self._installation = installation
        self._address = portal.rpartition(":")[0]

    async def answer(self, request: web.Request) -> web.Response:
        """Have the real one answer."""
        path = request.match_info["path"]
        form = {name: str(value) for name, value in (await request.post()).items()}
        headers = {
            name: request.headers[name] for name in ("Authorization",) if name in request.headers
        }
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(
                request.method, f"{self._url}/api/{path}", data=form or None
            ) as response,
        ):
            body = await response.text()
            self._keep(request.method, path, form, response.status, body)
            kind = response.content_type
            return web.Response(status=response.status, text=body, content_type=kind)

    def _keep(self, method: str, path: str, form: dict[str, str], status: int, body: str) -> None:
        answer: Any = json.loads(body.replace(self._address, ADDRESS))
        if path == "config" and status == 200:
            for what in ("targets", "disks"):
                answer[what] = {
                    name: one for name, one in answer[what].items() if self._installation in name
                }
        told = {name: value.replace(self._address, ADDRESS) for name, value in form.items()}
        exchange = Exchange(method, path, masked(told), status, masked(answer))
        self._recording.moments.append(exchange)


@asynccontextmanager
async def recorder(
    url: str, recording: Recording, installation: str, portal: str
) -> AsyncIterator[str]:
    """Record what goes through the URL that is yielded."""
    app = web.Application()
    made = Recorder(url, recording, installation, portal)
    app.router.add_route("*", "/api/{path:.+}", made.answer)
    async with TestServer(app) as server:
        yield f"http://{server.host}:{server.port}"
