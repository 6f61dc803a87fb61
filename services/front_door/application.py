"""The aiohttp application: the table of routes, around it the middleware."""

from __future__ import annotations

import msgspec
from aiohttp import web

from services.front_door.context import FRONT_DOOR, FrontDoor
from services.front_door.guard import guarded
from services.front_door.http_handlers.documents import ASYNCAPI, OPENAPI
from services.front_door.middleware import add_headers, observed
from services.front_door.openapi import openapi_document
from services.front_door.routes import ROUTES
from shared.contract.asyncapi import asyncapi_document
from shared.contract.http import MAX_BODY
from shared.runtime.health import add_health_routes
from shared.runtime.lifecycle import Service

#: The version of the interface: HTTP and bus.
VERSION = "1.0.0"


def make_application(parts: FrontDoor, service: Service) -> web.Application:
    """Return the application; it owns nothing, so it can be made several times over ``parts``."""
    app = web.Application(
        middlewares=[observed],
        client_max_size=MAX_BODY,
        handler_args={"max_field_size": 16 * 1024, "max_line_size": 16 * 1024},
    )
    app[FRONT_DOOR] = parts
    app[OPENAPI] = msgspec.json.encode(openapi_document(ROUTES, VERSION))
    app[ASYNCAPI] = msgspec.json.encode(asyncapi_document(VERSION))
    app.on_response_prepare.append(add_headers)
    for route in ROUTES:
        handler = guarded(route)
        app.router.add_route(route.method, route.path, handler)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, handler)
    add_health_routes(app, service)
    return app
