"""What is removed of load balancers with a cluster, and what is waited for before."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from devcloud.plugins.colobus_devcloud_kubernetes import cluster_remains
from devcloud.plugins.colobus_devcloud_kubernetes.cluster_remains import Unsettled, remove
from tests.unit.devcloud.tenant import Neutron

OTHER = ("kube_ingress_c2_shop_front", "PENDING_CREATE")


def octavia_is_away() -> Any:
    """Stand for whatever Octavia is asked where it does not run."""
    raise AssertionError("Octavia was asked")


def listed(*seen: tuple[str, str]) -> list[Any]:
    """Return load balancers of these names, with their statuses."""
    return [SimpleNamespace(name=name, provisioning_status=status) for name, status in seen]


def test_a_cluster_without_a_network_needs_no_octavia() -> None:
    """Which may be registered, and not run."""
    neutron = Neutron("kube_c2")
    remove("c1", "bigtop", neutron, octavia_is_away, octavia_is_away)
    assert neutron.names == ["kube_c2"]


def test_what_is_on_its_way_is_waited_for_before_it_is_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Octavia refuses before; then all goes: load balancers, floating IPs, the network."""
    monkeypatch.setattr(cluster_remains, "PAUSE", 0.0)
    neutron = Neutron("kube_c1", "kube_c2")
    for cluster in ("c1", "c2"):
        words = f"Floating IP for Kubernetes external service shop/web from cluster {cluster}"
        neutron.create_ip("external", "port", words)
    mine = ("kube_service_c1_shop_web", "kube_ingress_c1_shop_front")
    looks: Iterator[list[Any]] = iter(
        [
            listed((mine[0], "PENDING_CREATE"), (mine[1], "ACTIVE"), OTHER),
            listed((mine[0], "ERROR"), (mine[1], "PENDING_DELETE"), OTHER),
            listed((mine[0], "ERROR"), OTHER),
        ]
    )
    left_when_deleted: list[list[Any]] = []
    remove(
        "c1",
        "bigtop",
        neutron,
        lambda: next(looks),
        lambda: left_when_deleted.append(list(looks)),
    )
    assert left_when_deleted == [[]]
    assert [each.description[-2:] for each in neutron.addresses] == ["c2"]
    assert neutron.names == ["kube_c2"]


def test_what_stays_on_its_way_is_named_and_nothing_is_deleted() -> None:
    """Who asks for the deletion again goes on."""
    neutron = Neutron("kube_c1")
    stuck = ("kube_service_c1_shop_web", "PENDING_UPDATE")
    with pytest.raises(Unsettled, match="web is PENDING_UPDATE"):
        remove("c1", "bigtop", neutron, lambda: listed(stuck), octavia_is_away, within=0)
    assert neutron.names == ["kube_c1"]
