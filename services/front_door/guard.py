"""Before a route's handler: who asks, how often, and whether that is allowed."""

from __future__ import annotations

import structlog
from aiohttp import web

from services.front_door.auth import CALLER
from services.front_door.context import front_door
from services.front_door.faults import forbidden
from services.front_door.route import Handler, Route


def guarded(route: Route) -> Handler:
    """Return the route's handler behind authentication, rate limit and role."""
    if route.public:
        return route.handler

    async def handle(request: web.Request) -> web.StreamResponse:
        parts = front_door(request)
        who = await parts.authenticator.caller_of(request)
        structlog.contextvars.bind_contextvars(tenant=who.tenant)
        request[CALLER] = who
        parts.rate_limit.take(who.tenant)
        if route.writes and not who.may_write:
            raise forbidden("A reader may look, but not change anything.")
        return await route.handler(request)

    return handle
