"""What a worker counts of its calls to the clouds, under its own name."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from shared.runtime.metrics import REGISTRY


class ApiMetrics:
    """The counters of one worker; made once, where its module is loaded."""

    def __init__(self, worker: str) -> None:
        self.calls = Counter(
            f"colobus_{worker}_api_calls",
            "HTTP requests to the clouds; status is the HTTP status or the name of the failure",
            ("cloud", "service", "method", "status"),
            registry=REGISTRY,
        )
        self.seconds = Histogram(
            f"colobus_{worker}_api_seconds",
            "Duration of HTTP requests to the clouds",
            ("cloud", "service", "method"),
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=REGISTRY,
        )
