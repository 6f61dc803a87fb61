"""The timeline: a page of it as JSON, or live as server-sent events (HTML standard §9.2).

A stream's ids are revisions where it follows one resource and positions where it follows a tenant,
so ``Last-Event-ID`` resumes either. What is sent is read from the database after a wake-up: no
client, however slow, makes us keep anything but a short buffer of progress.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import web

from services.front_door import timeline
from services.front_door.context import FrontDoor, caller, front_door
from services.front_door.http_handlers.reading import find, page_answer
from services.front_door.middleware import add_headers
from services.front_door.parameters import (
    limit,
    make_cursor,
    number_cursor,
    only,
    whole_number,
)
from services.front_door.route import Handler
from services.front_door.timeline import Entry
from services.front_door.wakeups import Listener, resource_topic, tenant_topic
from shared.contract.kinds import Kind
from shared.contract.resources import TERMINAL_PHASES
from shared.runtime.deadline import Deadline
from shared.runtime.errors import TemporaryError

EVENT_STREAM = "text/event-stream"
#: Entries that are read and sent at once.
_BATCH = 100
#: A client that takes nothing for this long (seconds) is gone.
_WRITE_SECONDS = 30
#: How long a stream lasts (seconds): its credentials are looked at again when it is resumed.
_STREAM_SECONDS = 3600
#: How soon a client comes again after a stream has ended, in milliseconds.
_RETRY = b"retry: 1000\n\n"
_HEARTBEAT = b": still here\n\n"


def events(kind: Kind | None) -> Handler:
    """Return the handler of ``GET /v1/<kind>s/{id}/events``, or (None) of ``GET /v1/events``."""

    async def handle(request: web.Request) -> web.StreamResponse:
        resource_id = (await find(request, kind)).id if kind else None
        if EVENT_STREAM in request.headers.get("Accept", "") and request.method == "GET":
            return await _stream(request, resource_id)
        return await _page(request, resource_id)

    return handle


async def _page(request: web.Request, resource_id: str | None) -> web.Response:
    only(request, "limit", "cursor")
    parts, tenant = front_door(request), caller(request).tenant
    number = limit(request)
    entries = await timeline.read(
        parts.database, tenant, resource_id, after=number_cursor(request), limit=number + 1
    )
    shown = entries[:number]
    cursor = make_cursor(shown[-1].position) if len(entries) > len(shown) else None
    return page_answer(request, [_json(entry, resource_id) for entry in shown], cursor)


async def _stream(request: web.Request, resource_id: str | None) -> web.StreamResponse:
    only(request)
    parts, tenant = front_door(request), caller(request).tenant
    topic = tenant_topic(tenant) if resource_id is None else resource_topic(resource_id)
    with parts.streams.take(tenant), parts.wakeups.listen(topic) as listener:
        feed = _Feed(parts, tenant, resource_id, listener)
        await feed.start(request.headers.get("Last-Event-ID"))
        if await feed.is_over():
            return web.Response(status=204)  # tells an EventSource not to come again
        response = web.StreamResponse(
            headers={"Content-Type": EVENT_STREAM, "Cache-Control": "no-store"}
        )
        await add_headers(request, response)
        await response.prepare(request)
        try:
            await feed.send_to(response)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        return response


class _Feed:
    """One stream: what it has sent, and what comes next."""

    def __init__(
        self, parts: FrontDoor, tenant: str, resource_id: str | None, listener: Listener
    ) -> None:
        self._parts = parts
        self._tenant = tenant
        self._resource_id = resource_id
        self._listener = listener
        self._after = 0
        self._resumed = False

    async def start(self, last_event_id: str | None) -> None:
        """Go to where ``Last-Event-ID`` says, else to a resource's first entry, or to now."""
        database, tenant = self._parts.database, self._tenant
        if last_event_id:
            last, self._resumed = whole_number(last_event_id, "Last-Event-ID"), True
            if self._resource_id is None:
                self._after = last
            else:
                self._after = await timeline.position_of(database, tenant, self._resource_id, last)
        elif self._resource_id is None:
            self._after = await timeline.last_position(database, tenant)

    async def is_over(self) -> bool:
        """Tell whether a resumed stream has shown the end of its resource already."""
        if not self._resumed or self._resource_id is None:
            return False
        at_end = await timeline.ends_at(self._parts.database, self._resource_id, self._after)
        return at_end in TERMINAL_PHASES

    async def send_to(self, response: web.StreamResponse) -> None:
        """Send until the resource ends, the time is over, or we are to stop."""
        await _write(response, _RETRY + self._beginning())
        deadline = Deadline.after(_STREAM_SECONDS)
        while not (deadline.expired or self._parts.wakeups.closed):
            try:
                entries = await self._entries()
            except TemporaryError:
                return  # the database is out: the client comes again and resumes
            chunk = b"".join([*self._frames(entries), *self._progress()])
            if chunk:
                await _write(response, chunk)
            if len(entries) == _BATCH:
                continue
            if self._resource_id and entries and entries[-1].phase in TERMINAL_PHASES:
                return
            if not await self._listener.wait(self._parts.settings.heartbeat_seconds):
                await _write(response, _HEARTBEAT)

    def _beginning(self) -> bytes:
        """Name the place where a tenant's stream begins: it may break off before its first event.

        A block with an id and no data is no event, but sets what the client resumes by.
        """
        return b"id: %d\n\n" % self._after if self._resource_id is None else b""

    async def _entries(self) -> list[Entry]:
        found = await timeline.read(
            self._parts.database, self._tenant, self._resource_id, after=self._after, limit=_BATCH
        )
        if found:
            self._after = found[-1].position
        return list(found)

    def _frames(self, entries: Iterable[Entry]) -> Iterable[bytes]:
        for entry in entries:
            number = _event_id(entry, self._resource_id)
            data = entry.as_json(number)
            yield b"id: %d\nevent: status\ndata: %b\n\n" % (number, data)

    def _progress(self) -> Iterable[bytes]:
        while self._listener.progress:
            yield b"event: progress\ndata: %b\n\n" % self._listener.progress.popleft()


def _event_id(entry: Entry, resource_id: str | None) -> int:
    return entry.position if resource_id is None else entry.sequence


def _json(entry: Entry, resource_id: str | None) -> bytes:
    return entry.as_json(_event_id(entry, resource_id))


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(_WRITE_SECONDS):
        await response.write(data)
