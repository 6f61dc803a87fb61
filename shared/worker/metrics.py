"""What every worker counts of its commands and of its backends' bounds."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from shared.runtime.metrics import REGISTRY

COMMANDS = Counter(
    "colobus_worker_commands",
    "Commands answered, by outcome: done, expired, or the reason of the failure",
    ("worker", "command", "outcome"),
    registry=REGISTRY,
)
COMMAND_SECONDS = Histogram(
    "colobus_worker_command_seconds",
    "From the start of a command's handler to its outcome",
    ("worker", "command"),
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
    registry=REGISTRY,
)
BACKEND_LIMIT = Gauge(
    "colobus_worker_backend_limit",
    "How many commands may work on a backend at once; halves when it falters",
    ("worker", "backend"),
    registry=REGISTRY,
)
BACKEND_BUSY = Gauge(
    "colobus_worker_backend_busy",
    "How many commands work on a backend now",
    ("worker", "backend"),
    registry=REGISTRY,
)
DUPLICATES_REMOVED = Counter(
    "colobus_worker_duplicates_removed",
    "Second objects of one resource that were found and removed; the oldest stays",
    ("worker", "what"),
    registry=REGISTRY,
)
