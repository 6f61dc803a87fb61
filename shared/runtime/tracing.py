"""Traces: which request the work at hand is for, and, where an exporter is on, what it did when.

The position in the trace is always known, and travels in envelopes and headers (`traceparent`), so
log lines of all services can be joined. Spans are recorded only when `configure` was given a
collector; without one, what came with a request goes on unchanged, as W3C Trace Context asks of
those who only pass it on. Names and attributes are OpenTelemetry's semantic conventions (HTTP;
messaging, RabbitMQ; CloudEvents). Never an attribute: bodies, headers, queries, error texts.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, Protocol, Self, TypeAlias

from shared.runtime import trace_context
from shared.runtime.trace_context import TraceContext

Value: TypeAlias = str | int | float | bool
Attributes: TypeAlias = Mapping[str, Value | None]

#: As a parent: the work at hand, or a new trace where there is none.
CURRENT: Final = "current"


class Kind(enum.Enum):
    """OpenTelemetry's kinds of spans."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Recording(Protocol):
    """A span that is being recorded, or was not sampled; either way it has a place."""

    context: TraceContext

    def set(self, attributes: Attributes) -> None:
        """Add attributes; those that are None are left out."""

    def end(self, error: str | None) -> None:
        """End it; ``error`` is the ``error.type`` of a failure."""


class Recorder(Protocol):
    """Records spans and exports them."""

    def start(
        self,
        name: str,
        kind: Kind,
        parent: TraceContext | None,
        link: TraceContext | None,
        attributes: Attributes,
    ) -> Recording:
        """Begin a span; without a parent it begins a trace."""

    def close(self, seconds: float) -> None:
        """Export what is left, for at most so many seconds."""


_current: ContextVar[TraceContext | None] = ContextVar("trace", default=None)
#: Where the work at hand came from, when `resumed` turned it to another trace.
_left: ContextVar[TraceContext | None] = ContextVar("left trace", default=None)
_recorder: Recorder | None = None


def configure(service: str, installation: str, *, endpoint: str | None, ratio: float) -> None:
    """Trace this process; spans go to the OTLP/HTTP collector at ``endpoint``, if there is one.

    ``ratio`` is the share of the traces beginning here that is recorded (0 to 1); of a trace that
    began elsewhere, its beginning has decided.
    """
    global _recorder
    if endpoint is None:
        _recorder = None
        return
    # Not at the top: without an exporter nothing of OpenTelemetry is loaded.
    from shared.runtime.trace_export import OtlpRecorder

    _recorder = OtlpRecorder(service, installation, endpoint=endpoint, ratio=ratio)


def shutdown(seconds: float) -> None:
    """Export what is left, for at most so many seconds, and record nothing more."""
    global _recorder
    recorder, _recorder = _recorder, None
    if recorder is not None:
        recorder.close(seconds)


def recording() -> bool:
    """Whether spans are recorded: else attributes need not be put together."""
    return _recorder is not None


def current() -> TraceContext | None:
    """Where in which trace the work at hand is."""
    return _current.get()


def traceparent() -> str | None:
    """The W3C ``traceparent`` of the work at hand, for whatever it causes."""
    here = _current.get()
    return None if here is None else here.traceparent


class resumed:  # noqa: N801 - it reads as what it does
    """Within it, the work at hand is for this ``traceparent``; no span of its own.

    Turning to another trace than that of the work at hand is remembered, for `part_of`'s link.
    """

    def __init__(self, parent: str | None) -> None:
        self._place = trace_context.parse(parent)
        here = _current.get()
        self._left = here if _differ(here, self._place) else None

    def __enter__(self) -> None:
        self._tokens = (_current.set(self._place), _left.set(self._left))

    def __exit__(self, *_: object) -> None:
        place, left = self._tokens
        _current.reset(place)
        _left.reset(left)


class Span:
    """A span while inside; an exception that leaves it is its error.

    ``parent`` is a ``traceparent``, or None to begin a trace (so does one that is malformed). An
    internal span that turns to another trace than that of the work at hand is linked to it.
    """

    __slots__ = (
        "_attributes",
        "_error",
        "_kind",
        "_link",
        "_name",
        "_parent",
        "_recording",
        "_token",
    )

    def __init__(
        self,
        name: str,
        *,
        kind: Kind = Kind.INTERNAL,
        parent: str | None = CURRENT,
        attributes: Attributes | None = None,
        link: TraceContext | None = None,
    ) -> None:
        here = _current.get()
        self._name, self._kind, self._attributes = name, kind, attributes
        self._parent = here if parent is CURRENT else trace_context.parse(parent)
        self._link = here if kind is Kind.INTERNAL and _differ(here, self._parent) else link
        self._recording: Recording | None = None
        self._error: str | None = None
        self._token: Token[TraceContext | None] | None = None

    def __enter__(self) -> Self:
        if _recorder is None:
            place = self._parent or trace_context.begin()
        else:
            attributes = self._attributes or {}
            self._recording = _recorder.start(
                self._name, self._kind, self._parent, self._link, attributes
            )
            place = self._recording.context
        self._token = _current.set(place)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._token is not None, "entered"
        _current.reset(self._token)
        if self._recording is not None:
            self._recording.end(self._error or (None if kind is None else kind.__name__))

    def set(self, attributes: Attributes) -> None:
        """Add attributes; those that are None are left out."""
        if self._recording is not None:
            self._recording.set(attributes)

    def fail(self, error: str) -> None:
        """It has failed; ``error`` (``error.type``) is of few values: a class, an HTTP status."""
        self._error = error


#: Reads as what it does: ``with span("ring timer"):``.
span = Span


def part_of(parent: str | None, name: str) -> AbstractContextManager[object]:
    """Within it, the work at hand is part of the trace of ``parent``.

    When it always was (or there is no such trace) nothing happens; when it turns to it, or has
    turned, that is a span of ``name``, linked to where it came from.
    """
    here, there, left = _current.get(), trace_context.parse(parent), _left.get()
    is_there = here is not None and there is not None and here.trace_id == there.trace_id
    if there is None or (is_there and left is None):
        return nullcontext()
    return span(name, parent=parent, link=left)


def _differ(here: TraceContext | None, there: TraceContext | None) -> bool:
    return here is not None and there is not None and here.trace_id != there.trace_id
