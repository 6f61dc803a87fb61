"""One cluster's objects: what is wrong with one of them is told, and holds up no other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from devcloud.plugins.colobus_devcloud_kubernetes import balancer_cloud
from devcloud.plugins.colobus_devcloud_kubernetes.balancer_cloud import BalancerCloud
from devcloud.plugins.colobus_devcloud_kubernetes.balancers import AGAIN, Alarm
from devcloud.plugins.colobus_devcloud_kubernetes.cluster_balancers import (
    FINALIZERS,
    KINDS,
    NODES,
    ClusterBalancers,
)
from devcloud.plugins.colobus_devcloud_kubernetes.wanted_balancers import INGRESS, SERVICE
from tests.unit.devcloud.tenant import Neutron, Octavia
from tests.unit.devcloud.test_wanted_balancers import ingress, path, rule, service


class Kubernetes:
    """Objects of a cluster, by their paths; `meanwhile` is called when all were looked at."""

    def __init__(self, services: list[Any], ingresses: list[Any]) -> None:
        self.there: dict[str, Any] = {}
        self.events: list[Any] = []
        self.meanwhile: Callable[[], object] = lambda: None
        for kind, objects in ((SERVICE, services), (INGRESS, ingresses)):
            beginning, _, kinds = KINDS[kind].rpartition("/")
            for each in objects:
                each["metadata"].update(uid="uid", resourceVersion="1")
                where = f"{beginning}/namespaces/shop/{kinds}/{each['metadata']['name']}"
                self.there[where] = each

    def objects(self, kind: str) -> list[Any]:
        """List those of a kind, as they are now."""
        kinds = kind.rpartition("/")[2]
        found = [each for where, each in self.there.items() if where.split("/")[-2] == kinds]
        seen = copy.deepcopy(found)
        if kind == NODES:  # the last
            self.meanwhile()
        return seen

    def create(self, where: str, content: Any) -> None:
        """Keep what is said of an object."""
        if where.endswith("/events"):
            self.events.append((content["involvedObject"]["name"], content["message"]))

    def patch(self, where: str, change: dict[str, Any]) -> Any:
        """Change metadata or status."""
        found = self.there[where.removesuffix("/status")]
        for part, content in change.items():
            found.setdefault(part, {}).update(content)
        return copy.deepcopy(found)

    def address(self, name: str) -> str | None:
        """Return the address that an Ingress shows."""
        found = self.there[f"/apis/networking.k8s.io/v1/namespaces/shop/ingresses/{name}"]
        shown = found.get("status", {"loadBalancer": {"ingress": None}})["loadBalancer"]["ingress"]
        return None if shown is None else str(shown[0]["ip"])


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancer_cloud, "PAUSE", 0.0)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Who works on them."""
    with ThreadPoolExecutor(1) as made:
        yield made


def balancers(api: Any, pool: ThreadPoolExecutor) -> ClusterBalancers:
    """Return who is tested, before an empty cloud."""
    neutron = Neutron()
    connection = SimpleNamespace(load_balancer=Octavia(neutron), network=neutron)
    return ClusterBalancers(
        "c1", api, BalancerCloud(connection, lambda: "subnet", "external"), pool
    )


def named(name: str, seen: dict[str, Any]) -> dict[str, Any]:
    """Return an object under another name."""
    return {**seen, "metadata": {**seen["metadata"], "name": name}}


def test_a_service_without_ports_is_one_that_cannot_be_reached(pool: ThreadPoolExecutor) -> None:
    """As an ExternalName is; nothing is to be tried again, and the other Ingress is served."""
    outside = service("outside", type="ExternalName")
    del outside["spec"]["ports"]
    bad = named("bad", ingress(rule(path("outside"))))
    api = Kubernetes([outside, service()], [bad, named("good", ingress(rule(path("web"))))])
    assert balancers(api, pool).work()
    assert [(name, "has no port" in words) for name, words in api.events] == [("bad", True)]
    assert (api.address("bad"), api.address("good")) == (None, "203.0.113.1")


def test_what_nobody_thought_of_is_told_of_its_object_alone(pool: ThreadPoolExecutor) -> None:
    """It is tried again; the other Ingress is served at once."""
    bad = named("bad", ingress({"http": {"paths": [{}]}}))
    api = Kubernetes([service()], [bad, named("good", ingress(rule(path("web"))))])
    made = balancers(api, pool)
    assert not made.work()
    assert not made.work()
    assert api.events == [("bad", "KeyError: 'backend'")]
    assert (api.address("bad"), api.address("good")) == (None, "203.0.113.1")


def test_a_finalizer_that_somebody_else_takes_meanwhile_is_no_trouble(
    pool: ThreadPoolExecutor,
) -> None:
    """Of a Service that shall be without a load balancer now."""
    seen = service()
    seen["metadata"]["finalizers"] = [FINALIZERS[SERVICE]]
    api = Kubernetes([seen], [])
    api.meanwhile = lambda: seen["metadata"].pop("finalizers", None)
    assert balancers(api, pool).work()
    assert seen["metadata"]["finalizers"] == []
    assert not api.events


def test_who_failed_often_tries_again_once() -> None:
    """However many changes there were meanwhile; and a change is not waited for."""
    now = [0.0]
    alarm = Alarm(lambda: now[0])
    for _ in range(3):
        alarm.ring()
        assert alarm.rings(within=0)
        alarm.ring_again()
    assert not alarm.rings(within=0)
    now[0] += AGAIN
    assert alarm.rings(within=0)
    now[0] += AGAIN
    assert not alarm.rings(within=0)
