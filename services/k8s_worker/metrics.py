"""What this worker counts."""

from __future__ import annotations

from prometheus_client import Counter

from shared.openstack.metrics import ApiMetrics
from shared.runtime.metrics import REGISTRY

API = ApiMetrics("k8s_worker")
LEFT_BEHIND = Counter(
    "colobus_k8s_worker_left_behind",
    "Clusters that were deleted before all their load balancers and volumes had gone",
    ("cloud",),
    registry=REGISTRY,
)
