"""What this worker counts of its calls to the clouds."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

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
NOTIFICATIONS = Counter(
    "colobus_vm_worker_notifications",
    "Notifications of the clouds by what they were: taken, other (not ours, or of no use), "
    "unreadable",
    ("cloud", "outcome"),
    registry=REGISTRY,
)
RECEIVING = Gauge(
    "colobus_vm_worker_notifications_receiving",
    "1 while this replica is on the queue of the cloud's notifications",
    ("cloud",),
    registry=REGISTRY,
)
