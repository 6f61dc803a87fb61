"""Ingresses and Services of real clusters get load balancers of the real Octavia."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes_asyncio import client
from kubernetes_asyncio.client.api_client import ApiClient

from tests.support.conditions import eventually
from tests.support.ingresses import (
    WITHIN,
    address_of,
    apply_ingress,
    delete_ingress,
    ingress,
    is_gone,
    service,
)
from tests.support.octavia import TenantNetwork

pytestmark = pytest.mark.timeout(1800)  # where Kubernetes isn't built yet


async def node_addresses(api: ApiClient) -> set[str]:
    """Return the addresses of the cluster's nodes."""
    return {
        address.address
        for node in (await client.CoreV1Api(api).list_node()).items
        for address in node.status.addresses
        if address.type == "InternalIP"
    }


async def test_an_ingress_gets_a_floating_ip_on_a_load_balancer(
    api: ApiClient, bigtop: TenantNetwork, cluster: str
) -> None:
    """Its members are the nodes at the Service's port; with the Ingress all of it is gone."""
    networking = client.NetworkingV1Api(api)
    port = await apply_ingress(api, "front")
    address = await address_of(lambda: networking.read_namespaced_ingress("front", "default"))
    made = await networking.read_namespaced_ingress("front", "default")
    assert made.spec.ingress_class_name == "openstack"
    seen = bigtop.balancer(f"kube_ingress_{cluster}_default_front")
    assert seen.floating_ips == (address,)
    assert (seen.status, seen.project) == ("ACTIVE", bigtop.project)
    assert seen.listeners == (("HTTP", 80),)
    assert set(seen.members) == {(node, port) for node in await node_addresses(api)}
    await delete_ingress(api, "front")
    await is_gone(lambda: networking.read_namespaced_ingress("front", "default"))
    assert not bigtop.balancers(cluster)


async def test_an_ingress_that_is_changed_keeps_its_address(
    api: ApiClient, bigtop: TenantNetwork, cluster: str
) -> None:
    """Also where its load balancer must be made anew: for another port of the Service."""
    networking = client.NetworkingV1Api(api)
    await apply_ingress(api, "changed")
    address = await address_of(lambda: networking.read_namespaced_ingress("changed", "default"))
    other = await client.CoreV1Api(api).create_namespaced_service(
        "default", service("other", "NodePort", 80)
    )
    moved = {"spec": ingress("changed", "other")["spec"]}
    await networking.patch_namespaced_ingress("changed", "default", moved)
    port = other.spec.ports[0].node_port

    async def is_moved() -> bool:
        seen = bigtop.look(f"kube_ingress_{cluster}_default_changed")
        there = seen is not None and {at for _, at in seen.members} == {port}
        return seen is not None and there and seen.floating_ips == (address,)

    await eventually(is_moved, within=WITHIN, what="another is before the other Service")
    await client.CoreV1Api(api).delete_namespaced_service("other", "default")
    await delete_ingress(api, "changed")
    await is_gone(lambda: networking.read_namespaced_ingress("changed", "default"))
    assert not bigtop.balancers(cluster)


async def test_a_service_of_type_load_balancer_gets_one(
    api: ApiClient, bigtop: TenantNetwork, cluster: str
) -> None:
    """With a listener for each of its ports, until it is of another type; then it goes on."""
    core = client.CoreV1Api(api)
    await core.create_namespaced_service("default", service("shop", "LoadBalancer", 80, 443))
    address = await address_of(lambda: core.read_namespaced_service("shop", "default"))
    seen = bigtop.balancer(f"kube_service_{cluster}_default_shop")
    assert seen.floating_ips == (address,)
    assert seen.listeners == (("TCP", 80), ("TCP", 443))
    made = await core.read_namespaced_service("shop", "default")
    assert {at for _, at in seen.members} == {port.node_port for port in made.spec.ports}
    await core.patch_namespaced_service("shop", "default", {"spec": {"type": "NodePort"}})

    async def is_without() -> bool:
        found = await core.read_namespaced_service("shop", "default")
        return not found.metadata.finalizers and not found.status.load_balancer.ingress

    await eventually(is_without, within=WITHIN, what="it is one without a load balancer")
    assert not bigtop.balancers(cluster)
    await core.delete_namespaced_service("shop", "default")
    await is_gone(lambda: core.read_namespaced_service("shop", "default"))


async def test_what_cannot_be_served_says_why(api: ApiClient) -> None:
    """An Ingress before a Service that no node has a port for: as an event of its own."""
    core, networking = client.CoreV1Api(api), client.NetworkingV1Api(api)
    await core.create_namespaced_service("default", service("inner", "ClusterIP", 80))
    await networking.create_namespaced_ingress("default", ingress("inner", "inner"))

    async def told() -> list[str]:
        events = (await core.list_namespaced_event("default")).items
        mine = [event for event in events if event.involved_object.name == "inner"]
        return [event.message for event in mine if event.reason == "SyncLoadBalancerFailed"]

    assert "NodePort" in (await eventually(told, within=WITHIN, what="an event says why"))[0]
    await delete_ingress(api, "inner")
    await is_gone(lambda: networking.read_namespaced_ingress("inner", "default"))


async def test_members_follow_the_nodes(
    api: ApiClient, bigtop: TenantNetwork, octavia: Any, cluster: str
) -> None:
    """In place: load balancer and address stay. A node is added and removed by hand here."""
    core, networking = client.CoreV1Api(api), client.NetworkingV1Api(api)
    port = await apply_ingress(api, "grown")
    await address_of(lambda: networking.read_namespaced_ingress("grown", "default"))
    name = f"kube_ingress_{cluster}_default_grown"
    (before,) = octavia.load_balancers(name=name)
    first = bigtop.balancer(name)

    async def has(*members: tuple[str, int]) -> bool:
        seen = bigtop.look(name)
        return (
            seen is not None
            and seen.status == "ACTIVE"
            and set(seen.members) == {*first.members, *members}
            and seen.floating_ips == first.floating_ips
        )

    async def has_joined() -> bool:
        await core.patch_node_status("guest", {"status": ready("192.0.2.7")})
        return await has(("192.0.2.7", port))

    await core.create_node({"metadata": {"name": "guest"}, "spec": {"unschedulable": True}})
    try:
        await eventually(has_joined, within=WITHIN, what="the new node is a member")
    finally:
        await core.delete_node("guest")
    await eventually(has, within=WITHIN, what="the node that is gone is none")
    (after,) = octavia.load_balancers(name=name)
    assert after.id == before.id
    await delete_ingress(api, "grown")
    await is_gone(lambda: networking.read_namespaced_ingress("grown", "default"))
    assert not bigtop.balancers(cluster)


def ready(address: str) -> dict[str, Any]:
    """Return the status that a node at an address would report now."""
    now = datetime.now(UTC).isoformat()
    condition = {"type": "Ready", "status": "True", "reason": "Test", "message": "by hand"}
    return {
        "addresses": [{"type": "InternalIP", "address": address}],
        "conditions": [{**condition, "lastHeartbeatTime": now}],
    }
