"""Server-sent events as bytes on the wire → events (HTML standard, §9.2.6 "Interpreting")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ServerEvent:
    """One event. ``id`` is the last id that the stream has named so far."""

    event: str
    data: str
    id: str | None


@dataclass
class EventParser:
    """Fed with chunks of a stream, gives its events; half lines wait for their other half.

    ``last_id`` counts from the blank line on: an event that broke off has not been seen.
    """

    last_id: str | None = None
    retry: float | None = None
    _pending: bytes = b""
    _id: str | None = None
    _event: str = ""
    _data: list[str] = field(default_factory=list)

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """Take a chunk and yield the events that it completes."""
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        for line in lines:
            event = self._line(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if event is not None:
                yield event

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value) / 1000
        return None

    def _dispatch(self) -> ServerEvent | None:
        name, data = self._event or "message", self._data
        self._event, self._data = "", []
        self.last_id = self.last_id if self._id is None else self._id
        return ServerEvent(name, "\n".join(data), self.last_id) if data else None
