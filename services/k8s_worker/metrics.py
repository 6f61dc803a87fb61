"""What this worker counts of its calls to the clouds."""

from __future__ import annotations

from shared.openstack.metrics import ApiMetrics

API = ApiMetrics("k8s_worker")
