"""What this worker counts of its calls to the clouds."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from shared.openstack.metrics import ApiMetrics
from shared.runtime.metrics import REGISTRY

API = ApiMetrics("vm_worker")
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
