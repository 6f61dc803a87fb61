"""Which load balancers Ingresses and Services want, and what they are called."""

from __future__ import annotations

from typing import Any

import pytest

from devcloud.plugins.colobus_devcloud_kubernetes.wanted_balancers import (
    INGRESS,
    SERVICE,
    NotYet,
    Pool,
    balancer_of_ingress,
    balancer_of_service,
    owner,
    ready_addresses,
    wants_balancer,
)

NODES = ("10.0.0.1", "10.0.0.2")


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    """Return a Service with a port on the nodes."""
    port = {"name": "http", "port": 80, "nodePort": 30080}
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"type": "NodePort", "ports": [port], **spec},
    }


def path(name: str, where: str = "/", kind: str = "Prefix", port: Any = 80) -> dict[str, Any]:
    """Return one path of an Ingress; a port is a number or a name."""
    wanted = {"number": port} if isinstance(port, int) else {"name": port}
    return {
        "path": where,
        "pathType": kind,
        "backend": {"service": {"name": name, "port": wanted}},
    }


def ingress(*rules: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Return an Ingress."""
    return {
        "metadata": {"name": "front", "namespace": "shop"},
        "spec": {"rules": list(rules), **spec},
    }


def rule(*paths: dict[str, Any], host: str = "") -> dict[str, Any]:
    """Return one rule of an Ingress."""
    return {**({"host": host} if host else {}), "http": {"paths": list(paths)}}


def test_names_and_descriptions_are_those_that_magnum_looks_for() -> None:
    """As the real controllers give them."""
    front, web = owner(INGRESS, ingress()), owner(SERVICE, service())
    assert front.balancer_name("c1") == "kube_ingress_c1_shop_front"
    assert front.description("c1") == "Kubernetes ingress front in namespace shop from cluster c1"
    assert web.balancer_name("c1") == "kube_service_c1_shop_web"
    assert web.description("c1") == "Kubernetes external service shop/web from cluster c1"


def test_an_ingress_is_one_listener_with_a_pool_for_each_port_behind_it() -> None:
    """Two hosts of one Service share a pool; a port may be meant by its name."""
    seen = ingress(rule(path("web"), host="a.test"), rule(path("web", port="http"), host="b.test"))
    made = balancer_of_ingress(seen, {"web": service()}, "c1", NODES)
    assert made.pools == (Pool("web_80", "HTTP", 30080),)
    (listener,) = made.listeners
    assert (listener.name, listener.protocol, listener.port) == (made.name, "HTTP", 80)
    assert [(route.host, route.path) for route in listener.routes] == [
        ("a.test", ""),
        ("b.test", ""),
    ]
    assert made.nodes == NODES


def test_the_more_a_route_says_the_earlier_it_is_asked() -> None:
    """Hosts first, whole ones before others; exact paths, then the longest; then the rest."""
    seen = ingress(
        rule(
            path("web"), path("web", "/long/way"), path("web", "/long"), path("web", "/a", "Exact")
        ),
        rule(path("web", "/long/way"), host="*.test"),
        rule(path("web", "/x"), host="a.test"),
        defaultBackend={"service": {"name": "web", "port": {"number": 80}}},
    )
    (listener,) = balancer_of_ingress(seen, {"web": service()}, "c1", NODES).listeners
    assert [(route.host, route.path, route.exact) for route in listener.routes] == [
        ("a.test", "/x", False),
        ("*.test", "/long/way", False),
        ("", "/a", True),
        ("", "/long/way", False),
        ("", "/long", False),
        ("", "", False),
        ("", "", False),
    ]


@pytest.mark.parametrize(
    ("services", "words"),
    [
        ({}, "no Service web"),
        ({"web": service(ports=[{"port": 81, "nodePort": 30081}])}, "no port"),
        ({"web": service(ports=[{"port": 80}])}, "NodePort"),
    ],
)
def test_an_ingress_before_nothing_that_can_be_reached_says_so(
    services: dict[str, Any], words: str
) -> None:
    """It is looked at again when its Service changes."""
    with pytest.raises(NotYet, match=words):
        balancer_of_ingress(ingress(rule(path("web"))), services, "c1", NODES)


def test_a_service_has_a_listener_for_each_of_its_ports() -> None:
    """With their protocols, each before its own port of the nodes."""
    ports = [
        {"port": 80, "nodePort": 30080},
        {"port": 53, "nodePort": 30053, "protocol": "UDP"},
    ]
    made = balancer_of_service(service(ports=ports), "c1", NODES)
    assert [(each.protocol, each.port) for each in made.listeners] == [("TCP", 80), ("UDP", 53)]
    assert [pool.node_port for pool in made.pools] == [30080, 30053]
    assert [each.routes[0].pool for each in made.listeners] == [pool.name for pool in made.pools]


def test_other_nodes_are_other_members_and_other_ports_another_shape() -> None:
    """The former can be changed in place."""
    first = balancer_of_service(service(), "c1", NODES)
    assert balancer_of_service(service(), "c1", NODES[:1]).shape == first.shape
    moved = service(ports=[{"port": 80, "nodePort": 31111}])
    assert balancer_of_service(moved, "c1", NODES).shape == first.shape
    other = service(ports=[{"port": 81, "nodePort": 30080}])
    assert balancer_of_service(other, "c1", NODES).shape != first.shape


@pytest.mark.parametrize(
    ("kind", "seen", "expected"),
    [
        (INGRESS, ingress(), True),
        (INGRESS, ingress(ingressClassName="openstack"), True),
        (INGRESS, ingress(ingressClassName="nginx"), False),
        (SERVICE, service(), False),
        (SERVICE, service(type="LoadBalancer"), True),
        (SERVICE, service(type="LoadBalancer", loadBalancerClass="other"), False),
    ],
)
def test_only_what_is_of_our_class_gets_a_load_balancer(
    kind: str, seen: dict[str, Any], expected: bool
) -> None:
    """An Ingress without a class is older than the default class."""
    assert wants_balancer(kind, seen) is expected


def test_members_are_the_nodes_that_are_ready_each_address_once() -> None:
    """Hollow nodes share theirs, and Octavia takes an address with a port only once."""

    def node(address: str, ready: str) -> dict[str, Any]:
        return {
            "status": {
                "addresses": [
                    {"type": "Hostname", "address": "name"},
                    {"type": "InternalIP", "address": address},
                ],
                "conditions": [{"type": "Ready", "status": ready}],
            }
        }

    nodes = [node("10.0.0.2", "True"), node("10.0.0.1", "True"), node("10.0.0.1", "True")]
    assert ready_addresses([*nodes, node("10.0.0.3", "Unknown")]) == NODES
