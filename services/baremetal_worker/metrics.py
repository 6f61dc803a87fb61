"""What this worker counts of its calls to Ironic."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from shared.runtime.metrics import REGISTRY

API_CALLS = Counter(
    "colobus_baremetal_worker_api_calls",
    "HTTP requests to Ironic and its Keystone; status is HTTP's or the name of the failure",
    ("metal", "method", "status"),
    registry=REGISTRY,
)
API_SECONDS = Histogram(
    "colobus_baremetal_worker_api_seconds",
    "Duration of HTTP requests to Ironic and its Keystone",
    ("metal", "method"),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
