"""What every cluster has from the start: the DNS, as kubeadm and Magnum's own drivers put it there.

The nodes are hollow: no CoreDNS runs, but all that Kubernetes says of it is Kubernetes' own word
(the Deployment, its pod that a kubelet reports ready, the endpoint behind the Service).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLACE = "kube-system"
_LABELS = {"k8s-app": "kube-dns"}
_PORTS = (("dns", "UDP", 53), ("dns-tcp", "TCP", 53), ("metrics", "TCP", 9153))
#: By the path that each is made at.
ADDONS: Mapping[str, Mapping[str, Any]] = {
    f"/apis/apps/v1/namespaces/{_PLACE}/deployments": {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "coredns", "labels": _LABELS},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": _LABELS},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {
                    "priorityClassName": "system-cluster-critical",
                    "containers": [{"name": "coredns", "image": "coredns/coredns:1.7.0"}],
                },
            },
        },
    },
    f"/api/v1/namespaces/{_PLACE}/services": {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "labels": _LABELS},
        "spec": {
            "selector": _LABELS,
            "ports": [
                {"name": name, "protocol": protocol, "port": port}
                for name, protocol, port in _PORTS
            ],
        },
    },
}
