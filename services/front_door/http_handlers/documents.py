"""Documents: OpenAPI, AsyncAPI, and a page for people without anything from elsewhere."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from services.front_door.answers import json_answer
from services.front_door.faults import not_found

#: The documents as JSON, made once at the start (`services.front_door.application`).
OPENAPI = web.AppKey("openapi", bytes)
ASYNCAPI = web.AppKey("asyncapi", bytes)

_STATIC = Path(__file__).parents[1] / "static"
#: What the page consists of; everything else is 404.
_FILES = {"docs.js": "text/javascript", "docs.css": "text/css"}
_POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
}


async def openapi(request: web.Request) -> web.Response:
    """``GET /openapi.json``."""
    return json_answer(request.app[OPENAPI])


async def asyncapi(request: web.Request) -> web.Response:
    """``GET /asyncapi.json``."""
    return json_answer(request.app[ASYNCAPI])


async def docs(_: web.Request) -> web.Response:
    """``GET /docs``."""
    return _file("docs.html", "text/html")


async def docs_file(request: web.Request) -> web.Response:
    """``GET /docs/{file}``."""
    name = request.match_info["file"]
    if name not in _FILES:
        raise not_found("file")
    return _file(name, _FILES[name])


async def home(_: web.Request) -> web.Response:
    """``GET /``."""
    return web.Response(status=302, headers={"Location": "/docs"})


def _file(name: str, content_type: str) -> web.Response:
    body = (_STATIC / name).read_bytes()  # some kilobytes, from the page cache
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_POLICY)
