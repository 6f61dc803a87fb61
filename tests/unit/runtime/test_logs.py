"""Logs as an operator reads them."""

from __future__ import annotations

import json
import logging

import structlog

from shared.contract.codec import envelope_for
from shared.contract.messages import GetQuota
from shared.runtime import logs, tracing
from shared.runtime.settings import Secret
from tests.unit.conftest import Lines


def test_every_line_is_json_with_service_level_and_time(lines: Lines) -> None:
    """One form for all."""
    structlog.get_logger("services.x").info("hello", count=1)
    (line,) = lines()
    assert (
        line.items() >= {"event": "hello", "count": 1, "service": "demo", "level": "info"}.items()
    )
    assert str(line["time"]).endswith("Z")


def test_libraries_logs_go_the_same_way(lines: Lines) -> None:
    """The standard library's logging is JSON too, from info on."""
    logging.getLogger("aio_pika").warning("lost %s", "it")
    logging.getLogger("aio_pika").debug("noise")
    logging.getLogger("aiormq.connection").info("chatter")
    (line,) = lines()
    assert line["event"] == "lost it"
    assert line["logger"] == "aio_pika"


def test_a_message_is_on_every_later_line(lines: Lines) -> None:
    """Request, resource and tenant, also on a library's lines; the next message replaces them."""
    for number, correlation in ((1, "request-1"), (2, None)):
        logs.bind_message(
            envelope_for(
                GetQuota(),
                source="ci",
                subject=f"vm-{number}",
                tenant="bigtop",
                id=f"m{number}",
                correlationid=correlation,
            )
        )
        structlog.get_logger("shared.x").info("ours")
        logging.getLogger("aiohttp").info("theirs")
    shown = [(line["request"], line["resource"], line["tenant"]) for line in lines()]
    assert shown == [("request-1", "vm-1", "bigtop")] * 2 + [("m2", "vm-2", "bigtop")] * 2


def test_lines_name_the_trace_of_the_work_at_hand(lines: Lines) -> None:
    """OpenTelemetry's names for it; nothing where there is no trace."""
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with tracing.span("x", parent=f"00-{trace}-{span}-01"):
        structlog.get_logger("services.x").info("ours")
        logging.getLogger("aiohttp").info("theirs")
    structlog.get_logger("services.x").info("after")
    *within, after = lines()
    assert [(line["trace_id"], line["span_id"]) for line in within] == [(trace, span)] * 2
    assert "trace_id" not in after


def test_secrets_are_masked_wherever_they_are(lines: Lines) -> None:
    """As values, within collections, in URLs, and in a traceback's text."""
    log = structlog.get_logger("services.x")
    log.info("a", key=Secret("hidden"), nested={"k": [Secret("hidden")]})
    log.info("cannot reach amqp://user:hidden@host/x", dsn="postgresql://u:hidden@h:1/d")
    log.error("failed", exc_info=ValueError("postgresql://u:hidden@h/d"))
    shown = lines()
    assert len(shown) == 3
    assert "hidden" not in json.dumps(shown)
    assert shown[1]["dsn"] == "postgresql://u:***@h:1/d"


def test_an_exception_carries_its_traceback(lines: Lines) -> None:
    """In the same line."""
    structlog.get_logger("services.x").error("failed", exc_info=LookupError("why"))
    (line,) = lines()
    assert "LookupError: why" in str(line["exception"])
