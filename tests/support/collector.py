"""An OpenTelemetry collector for tests: takes OTLP over HTTP (protobuf) and keeps the spans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class SpanSeen:
    """A span as it was exported; ids in hexadecimal digits, no parent is the empty text."""

    service: str
    resource: dict[str, str]
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]
    attributes: dict[str, object]
    failed: bool


class Collector:
    """What came, and how to wait for more. While ``answers`` isn't 200 it keeps nothing."""

    def __init__(self) -> None:
        self.spans: list[SpanSeen] = []
        self.url = ""
        self.answers = 200
        self.asked = 0
        self._news = asyncio.Condition()

    def of(self, trace_id: str) -> list[SpanSeen]:
        """The spans of a trace."""
        return [span for span in self.spans if span.trace_id == trace_id]

    async def until(self, done: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until ``done``, which is asked whenever something has arrived."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(done)

    async def handle(self, request: web.Request) -> web.Response:
        """``POST /v1/traces``."""
        body = await request.read()
        async with self._news:
            self.asked += 1
            if self.answers == 200:
                self.spans.extend(_spans(ExportTraceServiceRequest.FromString(body)))
            self._news.notify_all()
        answer = ExportTraceServiceResponse().SerializeToString()
        kind = "application/x-protobuf"
        return web.Response(status=self.answers, body=answer, content_type=kind)


def _spans(request: ExportTraceServiceRequest) -> list[SpanSeen]:
    return [
        _span(span, _attributes(group.resource.attributes))
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _span(span: trace_pb2.Span, resource: dict[str, object]) -> SpanSeen:
    return SpanSeen(
        service=str(resource["service.name"]),
        resource={name: str(value) for name, value in resource.items()},
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=tuple(link.trace_id.hex() for link in span.links),
        attributes=_attributes(span.attributes),
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
    )


def _attributes(pairs: object) -> dict[str, object]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value"))
        for pair in pairs  # type: ignore[attr-defined]  # protobuf's repeated field
    }


@asynccontextmanager
async def collecting(port: int = 0) -> AsyncIterator[Collector]:
    """Serve a collector on 127.0.0.1."""
    collector = Collector()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/traces", collector.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield collector
    finally:
        await runner.cleanup()
