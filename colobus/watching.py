"""Watching one resource, revision by revision: by its live stream or, without one, by polls."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Collection

from colobus.models import Phase, Resource
from colobus.streams import Opened, StreamUnavailable, follow
from colobus.transport import Transport

#: How long one long poll asks the server to hold the answer (seconds).
POLL = 30
#: Polls that bring nothing new are at least so far apart (seconds).
SHORTEST = 1.0


async def watch(
    transport: Transport, path: str, until: Collection[Phase]
) -> AsyncGenerator[Resource, None]:
    """Yield the resource at ``path`` as it is, then newer revisions, up to a phase of ``until``.

    Some revisions may be skipped when several come at once; the newest is never missed.
    """
    revision = -1
    # A stream ends with the resource, but what has failed can still be deleted: polls go on.
    for changes in (_streamed(transport, path), _polled(transport, path)):
        with contextlib.suppress(StreamUnavailable):
            async with contextlib.aclosing(changes):
                async for resource in changes:
                    if resource.revision <= revision:
                        continue
                    revision = resource.revision
                    yield resource
                    if resource.status.phase in until:
                        return


async def _streamed(transport: Transport, path: str) -> AsyncGenerator[Resource, None]:
    async with contextlib.aclosing(follow(transport, f"{path}/events")) as stream:
        async for event in stream:
            if isinstance(event, Opened):
                yield await read(transport, path)
            elif event.resource is not None:
                yield event.resource


async def _polled(transport: Transport, path: str) -> AsyncGenerator[Resource, None]:
    tag: str | None = None
    while True:
        began = time.monotonic()
        headers = {"If-None-Match": tag, "Prefer": f"wait={POLL}"} if tag else None
        answer = await transport.request("GET", path, headers=headers, wait=POLL if tag else 0)
        if answer.status == 304:
            # A proxy may take the wish to wait away; then it is we who wait.
            await asyncio.sleep(max(0.0, SHORTEST - (time.monotonic() - began)))
        else:
            tag = answer.headers.get("ETag")
            yield answer.decoded(Resource)


async def read(transport: Transport, path: str) -> Resource:
    """Return the resource at ``path``."""
    answer = await transport.request("GET", path)
    return answer.decoded(Resource)
