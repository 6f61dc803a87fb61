"""What Prometheus sees of the webhooks."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from shared.runtime.metrics import REGISTRY

DELIVERIES = Counter(
    "colobus_webhook_deliveries",
    "Deliveries that came to an end: delivered, failed (given up), and tries that are repeated",
    ["outcome"],
    registry=REGISTRY,
)
ATTEMPT_SECONDS = Histogram(
    "colobus_webhook_attempt_seconds",
    "How long one POST took, name look-up to answer",
    ["outcome"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20),
    registry=REGISTRY,
)
DISABLED = Counter(
    "colobus_webhook_subscriptions_disabled",
    "Subscriptions disabled because their endpoint kept failing or answered 410",
    registry=REGISTRY,
)
UNDER_WAY = Gauge(
    "colobus_webhook_deliveries_under_way",
    "Deliveries that this process is sending",
    registry=REGISTRY,
)
PENDING = Gauge(
    "colobus_webhook_deliveries_pending",
    "Deliveries that wait for their first or next try, of all replicas",
    registry=REGISTRY,
)
OLDEST_PENDING = Gauge(
    "colobus_webhook_oldest_pending_seconds",
    "Age of the oldest delivery that waits, of all replicas",
    registry=REGISTRY,
)
