"""How load balancers are made and changed, where Octavia fails or a cluster is about to go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from devcloud.plugins.colobus_devcloud_kubernetes import balancer_cloud
from devcloud.plugins.colobus_devcloud_kubernetes.balancer_cloud import BalancerCloud, CloudFailed
from devcloud.plugins.colobus_devcloud_kubernetes.wanted_balancers import Balancer, Listener, Pool
from tests.unit.devcloud.tenant import Neutron, Octavia

WANTED = Balancer(
    name="kube_service_c1_shop_web",
    description="Kubernetes external service shop/web from cluster c1",
    listeners=(Listener("listener", "TCP", 80, ()),),
    pools=(Pool("pool", "TCP", 30080),),
    nodes=("10.0.0.1",),
)
MORE_NODES = replace(WANTED, nodes=("10.0.0.1", "10.0.0.2"))


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancer_cloud, "PAUSE", 0.0)


@pytest.fixture
def octavia() -> Octavia:
    """Without any load balancer yet."""
    return Octavia(Neutron())


def cloud(octavia: Octavia, served: Callable[[], bool] = lambda: True) -> BalancerCloud:
    """Return the tenant's cloud."""
    connection = SimpleNamespace(load_balancer=octavia, network=octavia.neutron)
    return BalancerCloud(connection, lambda: "subnet", "external", served)


def test_members_are_changed_in_place(octavia: Octavia) -> None:
    """The load balancer and its address stay."""
    tenant = cloud(octavia)
    address = tenant.ensure(WANTED)
    assert tenant.ensure(MORE_NODES) == address
    assert octavia.nodes("1") == {"10.0.0.1", "10.0.0.2"}
    assert list(octavia.there) == ["1"]


def test_one_that_failed_at_a_change_of_its_members_is_made_anew(octavia: Octavia) -> None:
    """The failure is told, so that there is a next try; that one's address is the same."""
    tenant = cloud(octavia)
    address = tenant.ensure(WANTED)
    octavia.outcomes = ["ERROR"]
    with pytest.raises(CloudFailed, match=f"members of {WANTED.name}"):
        tenant.ensure(MORE_NODES)
    assert tenant.ensure(MORE_NODES) == address
    assert list(octavia.there) == ["2"]
    assert octavia.nodes("2") == {"10.0.0.1", "10.0.0.2"}


def test_none_is_begun_for_a_cluster_that_is_to_be_deleted(octavia: Octavia) -> None:
    """Nobody would wait for it."""
    with pytest.raises(CloudFailed, match="to be deleted"):
        cloud(octavia, served=lambda: False).ensure(WANTED)
    assert not octavia.there
