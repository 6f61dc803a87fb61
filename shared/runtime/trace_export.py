"""Recording spans with OpenTelemetry and exporting them by OTLP over HTTP, in batches.

The only module that imports opentelemetry, and it is imported only where an exporter is on. A
collector that is away costs nothing but its spans: they are sent by a thread of their own, from a
bounded queue, and it is said once when that begins to fail and once when it works again.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Sequence

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from prometheus_client import Counter

from shared.runtime.metrics import REGISTRY, version
from shared.runtime.trace_context import TraceContext
from shared.runtime.tracing import Attributes, Kind

#: Where OTLP over HTTP takes traces, beneath the collector's address (OTLP 1.x, "Request").
_PATH = "/v1/traces"
#: How long the collector may take for one batch, tries included, in seconds.
_EXPORT_SECONDS = 5.0

_KINDS = {kind: trace.SpanKind[kind.name] for kind in Kind}
_log = structlog.get_logger(__name__)
_SPANS = Counter(
    "colobus_trace_spans_total",
    "Spans handed to the collector",
    ["outcome"],
    registry=REGISTRY,
)


class OtlpRecorder:
    """`shared.runtime.tracing.Recorder`: parent-based sampling, batches, OTLP over HTTP.

    What OpenTelemetry's own variables say (``OTEL_EXPORTER_OTLP_HEADERS``, ``…_CERTIFICATE``,
    ``OTEL_BSP_…``, ``OTEL_RESOURCE_ATTRIBUTES``) is heeded, but for the address.
    """

    def __init__(self, service: str, installation: str, *, endpoint: str, ratio: float) -> None:
        _quieten()
        about = {
            "service.name": service,
            "service.namespace": "colobus",
            "service.version": version(),
            "service.instance.id": str(uuid.uuid4()),
            "colobus.installation": installation,
        }
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=Resource.create(about),
            shutdown_on_exit=False,  # `close` does it, within its bound
        )
        exporter = OTLPSpanExporter(endpoint.rstrip("/") + _PATH, timeout=_EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(_Telling(exporter, endpoint)))
        self._tracer = self._provider.get_tracer("colobus")

    def start(
        self,
        name: str,
        kind: Kind,
        parent: TraceContext | None,
        link: TraceContext | None,
        attributes: Attributes,
    ) -> _Recording:
        """Begin a span; without a parent it begins a trace."""
        context = trace.set_span_in_context(
            trace.INVALID_SPAN if parent is None else trace.NonRecordingSpan(_remote(parent))
        )
        links = None if link is None else [trace.Link(_remote(link))]
        made = self._tracer.start_span(name, context, _KINDS[kind], links=links)
        recording = _Recording(made)
        recording.set(attributes)
        return recording

    def close(self, seconds: float) -> None:
        """Export what is left; a thread that hangs in that dies with the process."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True, name="traces")
        closing.start()
        closing.join(seconds)


class _Recording:
    def __init__(self, made: trace.Span) -> None:
        self._span = made
        place = made.get_span_context()
        self.context = TraceContext(
            trace.format_trace_id(place.trace_id),
            trace.format_span_id(place.span_id),
            int(place.trace_flags),
        )

    def set(self, attributes: Attributes) -> None:
        """Add attributes; those that are None are left out."""
        if self._span.is_recording():
            for name, value in attributes.items():
                if value is not None:
                    self._span.set_attribute(name, value)

    def end(self, error: str | None) -> None:
        """End it; of a failure only the type is told, since texts may quote anything."""
        if error is not None and self._span.is_recording():
            self._span.set_attribute("error.type", error)
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()


class _Telling(SpanExporter):
    """Counts, and logs when exporting begins to fail and when it works again."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter, self._endpoint = exporter, endpoint
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export one batch; blocks its thread."""
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        _SPANS.labels("lost" if failed else "exported").inc(len(spans))
        if failed and not self._failing:
            _log.warning("traces are lost: the collector does not take them", url=self._endpoint)
        elif self._failing and not failed:
            _log.info("the collector takes traces again", url=self._endpoint)
        self._failing = failed
        return result

    def shutdown(self) -> None:
        """Give up what is being tried."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back here."""
        return self._exporter.force_flush(timeout_millis)


def _remote(place: TraceContext) -> trace.SpanContext:
    return trace.SpanContext(
        int(place.trace_id, 16),
        int(place.span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(place.flags),
    )


def _quieten() -> None:
    """OpenTelemetry has lines for every batch that fails; only who debugs wants them."""
    debugging = logging.getLogger("shared").isEnabledFor(logging.DEBUG)
    logging.getLogger("opentelemetry").setLevel(logging.DEBUG if debugging else logging.CRITICAL)
