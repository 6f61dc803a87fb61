"""What this worker counts of its calls to stores."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from shared.runtime.metrics import REGISTRY

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

CEPH_CALLS = Counter(
    "colobus_iscsi_worker_ceph_calls",
    "Calls to Ceph by outcome: done, failed",
    ("store", "outcome"),
    registry=REGISTRY,
)
CEPH_SECONDS = Histogram(
    "colobus_iscsi_worker_ceph_seconds",
    "Duration of calls to Ceph",
    ("store",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
GATEWAY_CALLS = Counter(
    "colobus_iscsi_worker_gateway_calls",
    "Calls to iSCSI gateways by outcome: done, failed",
    ("store", "outcome"),
    registry=REGISTRY,
)
GATEWAY_SECONDS = Histogram(
    "colobus_iscsi_worker_gateway_seconds",
    "Duration of calls to iSCSI gateways",
    ("store",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
