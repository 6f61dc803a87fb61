"""Traces of a real process, at a real collector's door; and what it costs when that is shut."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from tests.integration.runtime.process import ServiceProcess, started
from tests.integration.runtime.sample_service import OTHER_TRACE
from tests.support.collector import Collector, collecting

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
#: Seconds between two batches, so that tests needn't wait for OpenTelemetry's five.
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
SAYS_LOST = "traces are lost: the collector does not take them"


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """A collector."""
    async with collecting() as made:
        yield made


async def _stop(service: ServiceProcess) -> None:
    service.process.send_signal(signal.SIGTERM)
    assert await service.exit_code() == 0


async def test_spans_are_exported_with_their_place_and_without_what_they_raised(
    collector: Collector,
) -> None:
    """Parents, kinds, links; of an error only its type; and whose spans they are."""
    async with started("with_traces", COLOBUS_OTLP_ENDPOINT=collector.url, **SOON) as service:
        await service.say(PARENT)
        line = await service.until("worked")
        await collector.until(lambda: len(collector.spans) == 4)
        await _stop(service)
    by_name = {span.name: span for span in collector.spans}
    outer, inner, turned = by_name["outer"], by_name["inner"], by_name["turned"]
    assert (outer.trace_id, outer.parent_id, outer.kind) == (TRACE, SPAN, "SERVER")
    assert (line["trace_id"], line["span_id"]) == (TRACE, outer.span_id)
    assert (inner.trace_id, inner.parent_id, inner.kind) == (TRACE, outer.span_id, "INTERNAL")
    assert inner.failed
    assert inner.attributes == {"a": 1, "error.type": "LookupError"}
    for one in (turned, by_name["resumed"]):
        assert (one.trace_id, one.parent_id) == tuple(OTHER_TRACE.split("-")[1:3])
        assert one.links == (TRACE,)
    assert not outer.failed
    assert outer.resource["service.name"] == "sample"
    assert outer.resource["colobus.installation"] == "test"


async def test_what_is_left_is_exported_at_the_end(collector: Collector) -> None:
    """A drain loses no span."""
    slow = {"OTEL_BSP_SCHEDULE_DELAY": "60000"}
    async with started("with_traces", COLOBUS_OTLP_ENDPOINT=collector.url, **slow) as service:
        await service.say(PARENT)
        await service.until("worked")
        await _stop(service)
    assert len(collector.spans) == 4


async def test_without_an_endpoint_nobody_is_asked(collector: Collector) -> None:
    """Not even when OpenTelemetry's own variable names one; its libraries aren't loaded."""
    theirs = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **SOON}
    async with started("with_traces", **theirs) as service:
        await service.say(PARENT)
        line = await service.until("worked")
        await _stop(service)
    assert line["trace_id"] == TRACE
    assert not line["loaded"]
    assert collector.asked == 0


async def test_the_beginning_decides_what_is_recorded(collector: Collector) -> None:
    """A ratio of none records none of ours, and still all of what a client has recorded."""
    endpoint = {"COLOBUS_OTLP_ENDPOINT": collector.url, "COLOBUS_TRACE_RATIO": "0"}
    async with started("with_traces", **endpoint, **SOON) as service:
        for line in ("", PARENT.removesuffix("01") + "00", PARENT):
            await service.say(line)
            await service.until("worked")
        await _stop(service)
    assert [span.trace_id for span in collector.spans if span.name == "outer"] == [TRACE]


async def test_a_collector_that_is_away_is_told_of_once(collector: Collector) -> None:
    """Once when it begins and once when it ends, however many batches fail in between."""
    collector.answers = 400  # a refusal isn't tried again within the batch
    async with started("with_traces", COLOBUS_OTLP_ENDPOINT=collector.url, **SOON) as service:
        for batch in (1, 2, 3):
            await service.say(PARENT)
            await service.until("worked")
            await collector.until(lambda batch=batch: collector.asked >= batch)  # type: ignore[misc]
        collector.answers = 200
        await service.say(PARENT)
        await service.until("the collector takes traces again")
        await _stop(service)
    told = [line for line in service.lines if line["level"] in {"warning", "error"}]
    assert [line["event"] for line in told] == [SAYS_LOST]


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_dead_collector_neither_blocks_work_nor_the_end(hangs: bool) -> None:
    """Whether nobody listens there, or somebody who never answers."""
    silent = asyncio.Event()

    async def never_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if not hangs:
        server.close()
    endpoint = f"http://127.0.0.1:{port}"
    async with started("with_traces", COLOBUS_OTLP_ENDPOINT=endpoint, **SOON) as service:
        for _ in range(50):
            await service.say(PARENT)
            await service.until("worked")
        await _stop(service)
    silent.set()
    server.close()
    assert len([line for line in service.lines if line["event"] == SAYS_LOST]) <= 1
