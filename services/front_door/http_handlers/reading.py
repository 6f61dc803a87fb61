"""Reading resources: one, a page of them, and waiting for a change of one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
from aiohttp import web

from services.front_door import read_model
from services.front_door.answers import json_answer, resource_answer
from services.front_door.context import FrontDoor, caller, front_door
from services.front_door.faults import not_found
from services.front_door.parameters import (
    entity_tag,
    make_cursor,
    only,
    prefer_wait,
    resource_filter,
    tag_matches,
)
from services.front_door.read_model import Shown
from services.front_door.route import Handler
from services.front_door.wakeups import resource_topic
from shared.contract.identifiers import is_id
from shared.contract.kinds import Kind
from shared.runtime.deadline import Deadline

#: A wait looks again this often (seconds) even when nothing woke it.
_LOOK_AGAIN = 5


def get_resource(kind: Kind) -> Handler:
    """Return the handler of ``GET /v1/<kind>s/{id}``."""

    async def handle(request: web.Request) -> web.Response:
        only(request)
        parts, tenant = front_door(request), caller(request).tenant
        shown = await find(request, kind)
        known = request.headers.get("If-None-Match")
        wait = prefer_wait(request)
        headers = {}
        if wait is not None:
            seen = entity_tag(shown.revision) if known is None else known
            with parts.waits.take(tenant):
                shown = await wait_until(
                    parts, tenant, shown, _unlike(seen), Deadline.after(wait.total_seconds())
                )
            headers = applied(wait)
        if tag_matches(known, entity_tag(shown.revision)):
            return web.Response(status=304, headers={"ETag": entity_tag(shown.revision), **headers})
        return resource_answer(shown, headers=headers)

    return handle


def list_resources(kind: Kind | None) -> Handler:
    """Return the handler of ``GET /v1/<kind>s``, or (None) of ``GET /v1/resources``."""

    async def handle(request: web.Request) -> web.Response:
        wanted = resource_filter(request, kind.name if kind else None)
        found = await read_model.page(front_door(request).database, caller(request).tenant, wanted)
        items = found[: wanted.limit]
        cursor = make_cursor(items[-1].id) if len(found) > len(items) else None
        return page_answer(request, [shown.document.encode() for shown in items], cursor)

    return handle


def page_answer(request: web.Request, items: list[bytes], cursor: str | None) -> web.Response:
    """Return a page: ``next`` in the body and as a Link (RFC 8288) leads to the following one."""
    page: dict[str, object] = {"items": [msgspec.Raw(item) for item in items]}
    if cursor is None:
        return json_answer(page)
    following = request.rel_url.update_query(cursor=cursor)
    return json_answer(page | {"next": cursor}, headers={"Link": f'<{following}>; rel="next"'})


async def find(request: web.Request, kind: Kind) -> Shown:
    """Return the resource that the path names; raises `RequestFault` 404."""
    resource_id = request.match_info["id"]
    if is_id(resource_id, kind.name):
        found = await read_model.find(
            front_door(request).database, caller(request).tenant, resource_id
        )
        if found is not None:
            return found
    raise not_found()


async def wait_until(
    parts: FrontDoor,
    tenant: str,
    shown: Shown,
    enough: Callable[[Shown], bool],
    deadline: Deadline,
) -> Shown:
    """Return the resource once it is ``enough``, or as it is when the time is over."""
    with parts.wakeups.listen(resource_topic(shown.id)) as listener:
        while True:
            shown = await read_model.find(parts.database, tenant, shown.id) or shown
            if enough(shown) or deadline.expired or parts.wakeups.closed:
                return shown
            await listener.wait(deadline.remaining(at_most=_LOOK_AGAIN))


def applied(wait: timedelta) -> dict[str, str]:
    """Return the header that says which wait was honoured (RFC 7240 §3)."""
    return {"Preference-Applied": f"wait={int(wait.total_seconds())}"}


def _unlike(tag: str) -> Callable[[Shown], bool]:
    return lambda shown: not tag_matches(tag, entity_tag(shown.revision))
