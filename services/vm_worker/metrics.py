"""What this worker counts of its calls to the clouds."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from shared.runtime.metrics import REGISTRY

API_CALLS = Counter(
    "colobus_vm_worker_api_calls",
    "HTTP requests to the clouds; status is the HTTP status or the name of the failure",
    ("cloud", "service", "method", "status"),
    registry=REGISTRY,
)
API_SECONDS = Histogram(
    "colobus_vm_worker_api_seconds",
    "Duration of HTTP requests to the clouds",
    ("cloud", "service", "method"),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
