"""What Prometheus learns of the bus."""

from __future__ import annotations

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

from shared.runtime.metrics import REGISTRY

_FINE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)

PUBLISHED = Counter(
    "colobus_bus_published",
    "Messages that the broker has confirmed, or not (failed, unroutable, refused)",
    ["exchange", "outcome"],
    registry=REGISTRY,
)
#: `PUBLISHED` by its labels, which are few: finding them costs more than counting.
published = cache(PUBLISHED.labels)
CONFIRM_SECONDS = Histogram(
    "colobus_bus_confirm_seconds",
    "From the wish to publish to the broker's confirm, reconnects included",
    buckets=_FINE,
    registry=REGISTRY,
)
CONSUMED = Counter(
    "colobus_bus_consumed",
    "Deliveries by what became of them (acked, delayed, dead_lettered, answered, ignored, faulty, "
    "returned, dropped)",
    ["queue", "outcome"],
    registry=REGISTRY,
)
DEAD_LETTERED = Counter(
    "colobus_bus_dead_lettered",
    "Messages that were sent to the dead letters, by why (undecodable, rejected, faulty)",
    ["queue", "why"],
    registry=REGISTRY,
)
HANDLER_SECONDS = Histogram(
    "colobus_bus_handler_seconds",
    "Time in handlers",
    ["queue"],
    buckets=(*_FINE, 60, 300),
    registry=REGISTRY,
)
IN_HAND = Gauge("colobus_bus_in_hand", "Deliveries in hand now", ["queue"], registry=REGISTRY)
CONNECTS = Counter(
    "colobus_bus_connects",
    "Connections made to a broker (the first, and every reconnect)",
    registry=REGISTRY,
)
PAST_TENANTS = Counter(
    "colobus_bus_past_tenants",
    "Messages that a tenant's own queue had no room for and refused; ours got them by another way",
    ["exchange"],
    registry=REGISTRY,
)
CONNECTED = Gauge("colobus_bus_connected", "1 while connected to a broker", registry=REGISTRY)
NOTIFICATIONS_CONNECTED = Gauge(
    "colobus_notifications_connected",
    "1 while connected to the broker of a cloud whose notifications are wanted",
    ["cloud"],
    registry=REGISTRY,
)
CONSUMERS_REMADE = Counter(
    "colobus_bus_consumers_remade",
    "Consumers that were lost and made again",
    ["queue"],
    registry=REGISTRY,
)
QUERY_SECONDS = Histogram(
    "colobus_bus_query_seconds",
    "From query to answer, by outcome (answered, refused, timeout)",
    ["query", "outcome"],
    buckets=_FINE,
    registry=REGISTRY,
)
