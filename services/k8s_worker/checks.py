"""What a template promises of its clusters beyond nodes: the DNS, the cloud's add-ons. Pure.

The promise is a label of the template, which its clusters inherit, so it holds for as long as they
live, whatever the operator's file says by then: ``colobus_checks: "dns=Service
kube-system/kube-dns; cloud=DaemonSet kube-system/openstack-cloud-controller-manager"``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.k8s_worker.backend import Check, Unanswered

LABEL = "colobus_checks"
#: Who makes a template of one's own can't make us ask for ever.
MOST = 20
#: A name of Kubernetes.
NAME = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
#: What is checked: a Service has a ready endpoint, the others have all that they should have.
TARGET = rf"^(Service|Deployment|DaemonSet) {NAME}/{NAME}$"
_CHECK = re.compile(
    rf"(?P<name>{NAME})=(?P<kind>Service|Deployment|DaemonSet)"
    rf" (?P<namespace>{NAME})/(?P<object>{NAME})"
)


def label_of(checks: Mapping[str, str]) -> dict[str, str]:
    """Return the label that says all these, {name: "Service namespace/name"}; {} for none."""
    words = "; ".join(f"{name}={target}" for name, target in sorted(checks.items()))
    return {LABEL: words} if words else {}


def checks_of(labels: Mapping[str, str]) -> tuple[Check, ...]:
    """Return what a cluster's labels promise; raises `Unanswered` where that can't be read."""
    words = [word.strip() for word in labels.get(LABEL, "").split(";")]
    found = [_CHECK.fullmatch(word) for word in words if word]
    if len(found) > MOST or not all(found):
        raise Unanswered(f"The template's label {LABEL} says no checks that are known.")
    return tuple(
        Check(one["name"], one["kind"], one["namespace"], one["object"]) for one in found if one
    )
