"""Logs: one JSON object a line on stderr, with request, resource, tenant and trace on every line.

The standard library's logging (aiohttp, aio_pika, asyncpg) goes the same way. Secrets are masked
here as a last line of defence: `Secret` values, and the passwords in URLs.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from functools import partial
from typing import TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.contract.codec import Envelope
from shared.runtime import tracing
from shared.runtime.settings import Secret

_URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^@\s/]+@")
#: Our own packages: these follow the level that is set, libraries stay at info or above.
_OURS = ("services", "shared", "__main__")
#: Libraries whose info lines say nothing to an operator.
_CHATTY = ("aiormq", "asyncio", "yoyo", "keystoneauth", "urllib3", "stevedore")


def configure(service: str, level: str = "info") -> None:
    """Send all logging of this process to stderr as JSON, naming ``service`` on each line.

    Our own lines are rendered by structlog alone: the standard library's way costs three times as
    much, which a request's line would pay on every request.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    named: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _traced,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _named(service),
    ]
    rendered: list[Processor] = [
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _mask,
        _as_json,
    ]
    structlog.configure(
        processors=[structlog.stdlib.PositionalArgumentsFormatter(), *named, _by, *rendered],
        logger_factory=partial(_Lines, sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                *named,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    _set_levels(handler, number)


class _Lines:
    """Where structlog writes a line; ``name`` is the module's that says it."""

    def __init__(self, stream: TextIO, name: str = "") -> None:
        self._stream = stream
        self.name = name

    def msg(self, line: str) -> None:
        """Write one line, whole."""
        self._stream.write(line + "\n")

    debug = info = warning = error = critical = exception = msg


def bind_message(envelope: Envelope) -> None:
    """Put the message's request, resource and tenant on every later line of this task."""
    structlog.contextvars.bind_contextvars(
        request=envelope.correlationid or envelope.id,
        resource=envelope.subject,
        tenant=envelope.tenant,
        message=envelope.message_name,
        message_id=envelope.id,
    )


def _set_levels(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.INFO))
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)


def _named(service: str) -> Processor:
    def add_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return add_service


def _traced(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Name the trace, as OpenTelemetry's "Trace Context in non-OTLP Log Formats" does."""
    here = tracing.current()
    if here is not None:
        event.setdefault("trace_id", here.trace_id)
        event.setdefault("span_id", here.span_id)
    return event


def _by(logger: WrappedLogger, _: str, event: EventDict) -> EventDict:
    if logger.name:
        event["logger"] = logger.name
    return event


def _as_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=repr).decode()
    except (TypeError, ValueError):  # odd keys, or text that is no Unicode
        return json.dumps({str(key): value for key, value in event.items()}, default=repr)


def _mask(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: _masked(value) for key, value in event.items()}


def _masked(value: object) -> object:
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, str):
        return _URL_PASSWORD.sub(r"\1***@", value) if "://" in value else value
    if isinstance(value, dict):
        return {key: _masked(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(part) for part in value]
    return value
