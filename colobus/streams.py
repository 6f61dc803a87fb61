"""Live events of the front door: server-sent events that go on where they broke off."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

import msgspec

from colobus.errors import ApiError, ColobusError, Unreachable
from colobus.models import TimelineEvent
from colobus.sse import EventParser
from colobus.transport import LOST, Transport, decoded, may_pass

#: The server says something, if only a comment, more often than this (seconds).
SILENCE = 45.0
CONTENT_TYPE = "text/event-stream"


class StreamUnavailable(ColobusError):
    """Between us and the server something does not let streams through."""


class Opened:
    """Yielded whenever a connection was made: what came before may have been missed."""


async def follow(
    transport: Transport, path: str, after: str | None = None
) -> AsyncGenerator[TimelineEvent | Opened, None]:
    """Yield the events of a stream, from after the event id ``after``, until the server ends it.

    The stream of one resource has an end, that of a tenant hasn't. A broken one is opened again
    with Last-Event-ID, so no event of the timeline is lost. Raises `ApiError`, `Unreachable` when
    the server stays away or ends each stream as soon as it has opened, `StreamUnavailable` when
    there is a server but no stream.
    """
    parser = EventParser(last_id=after)
    retry = transport.retry()
    while True:
        headers = {"Accept": CONTENT_TYPE}
        if parser.last_id:
            headers["Last-Event-ID"] = parser.last_id
        error: ColobusError = Unreachable(f"{transport.url} ends every stream")
        heard = False
        try:
            async with transport.stream(path, headers, silence=SILENCE) as response:
                if response.status == 204:  # HTML standard §9.2.3: don't come again
                    return
                if response.content_type != CONTENT_TYPE:
                    raise StreamUnavailable(f"{path} is answered with {response.content_type}")
                yield Opened()
                async for chunk in response.content.iter_any():
                    if heard:  # the stream goes on, if only by heartbeats: no series of failures
                        retry = transport.retry()
                    heard = True
                    for event in parser.feed(chunk):
                        retry = transport.retry()
                        if event.event in ("status", "progress"):
                            yield _decoded(event.data, event.id)
        except TimeoutError as silence:
            if not heard:
                raise StreamUnavailable(f"{path} opens but says nothing") from silence
        except LOST as lost:
            error = Unreachable(f"{transport.url} does not answer: {lost}")
        except Unreachable as unreachable:
            error = unreachable
        except ApiError as refused:
            if not may_pass(refused):
                raise
            error = refused
        await retry.after(error, parser.retry)
        parser = EventParser(last_id=parser.last_id, retry=parser.retry)


async def events_only(
    stream: AsyncGenerator[TimelineEvent | Opened, None],
) -> AsyncGenerator[TimelineEvent, None]:
    """Yield the events of a stream without the marks of its connections."""
    async with contextlib.aclosing(stream):
        async for event in stream:
            if isinstance(event, TimelineEvent):
                yield event


def _decoded(data: str, event_id: str | None) -> TimelineEvent:
    event = decoded(data, TimelineEvent)
    return event if event.id else msgspec.structs.replace(event, id=event_id)
