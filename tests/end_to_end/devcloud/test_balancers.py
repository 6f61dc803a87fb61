"""Ingresses and Services of real clusters get load balancers of the real Octavia."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import openstack
import pytest
from kubernetes_asyncio import client
from kubernetes_asyncio.client.api_client import ApiClient

from devcloud.api import Supervisor, open_devcloud
from tests.support import devcloud
from tests.support.conditions import eventually, eventually_sync
from tests.support.magnum import Clusters
from tests.support.octavia import TenantNetwork

pytestmark = pytest.mark.timeout(1800)  # where Kubernetes isn't built yet
WITHIN = 180.0
#: More than Octavia's worker makes at once, so that some wait while others are begun.
BACKLOG = 6


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """The environment of the running cloud."""
    return devcloud.up("kubernetes-balancers")


@pytest.fixture(scope="module")
def supervisor(environment: dict[str, str]) -> Supervisor:
    """The running cloud."""
    del environment
    return open_devcloud()


@pytest.fixture(scope="module")
def alice(environment: dict[str, str]) -> Clusters:
    """The clusters of a member of bigtop."""
    return Clusters(environment, "alice")


@pytest.fixture(scope="module")
def bigtop(environment: dict[str, str]) -> TenantNetwork:
    """What bigtop has of load balancers."""
    return TenantNetwork(environment, "alice")


@pytest.fixture(scope="module")
def octavia(environment: dict[str, str]) -> Any:
    """Octavia itself, to a member of bigtop."""
    config = openstack.config.OpenStackConfig(config_files=[environment["OS_CLIENT_CONFIG_FILE"]])
    return openstack.connection.Connection(config=config.get_one(cloud="alice")).load_balancer


@pytest.fixture(scope="module")
def template(alice: Clusters) -> Iterator[str]:
    """A template of Alice's."""
    with alice.template() as made:
        yield made


@pytest.fixture(scope="module")
def cluster(alice: Clusters, bigtop: TenantNetwork, template: str) -> Iterator[str]:
    """A cluster of Alice's with a node; nothing of it is left afterwards."""
    made = alice.begin(template, nodes=1)
    try:
        alice.until(made, "CREATE_COMPLETE")
        yield made
    finally:
        alice.delete(made)
    assert not bigtop.leftovers(made)


@pytest.fixture
async def api(alice: Clusters, cluster: str, tmp_path: Path) -> AsyncIterator[ApiClient]:
    """The API server of that cluster, to its owner."""
    async with alice.access(cluster).connected(tmp_path) as opened:
        yield opened


def service(name: str, kind: str, *ports: int) -> dict[str, Any]:
    """Return a Service."""
    listed = [{"name": f"port-{port}", "port": port} for port in ports]
    spec = {"type": kind, "selector": {"app": name}, "ports": listed}
    return {"metadata": {"name": name}, "spec": spec}


def ingress(name: str, backend: str) -> dict[str, Any]:
    """Return an Ingress of the default class before a Service."""
    behind = {"service": {"name": backend, "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": behind}
    rule = {"host": f"{name}.test", "http": {"paths": [path]}}
    return {"metadata": {"name": name}, "spec": {"rules": [rule]}}


async def apply_ingress(api: ApiClient, name: str) -> int:
    """Make a Service on the nodes and an Ingress before it; return the nodes' port."""
    made = await client.CoreV1Api(api).create_namespaced_service(
        "default", service(name, "NodePort", 80)
    )
    await client.NetworkingV1Api(api).create_namespaced_ingress("default", ingress(name, name))
    return int(made.spec.ports[0].node_port)


async def delete_ingress(api: ApiClient, name: str) -> None:
    """Ask for the end of both."""
    await client.NetworkingV1Api(api).delete_namespaced_ingress(name, "default")
    await client.CoreV1Api(api).delete_namespaced_service(name, "default")


async def address_of(read: Callable[[], Awaitable[Any]]) -> str:
    """Wait until what is read has an address, and return that."""

    async def shown() -> str | None:
        found = (await read()).status.load_balancer.ingress or ()
        return str(found[0].ip) if found else None

    return await eventually(shown, within=WITHIN, what="it has an address")


async def is_gone(read: Callable[[], Awaitable[Any]]) -> None:
    """Wait until there is no such object any more."""

    async def gone() -> bool:
        try:
            await read()
        except client.ApiException as error:
            return bool(error.status == 404)
        return False

    await eventually(gone, within=WITHIN, what="it is gone")


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


async def test_who_makes_them_is_killed(
    supervisor: Supervisor, api: ApiClient, bigtop: TenantNetwork, cluster: str
) -> None:
    """On the way, and while one is deleted and one loses what holds it: each ends as it should."""
    networking = client.NetworkingV1Api(api)

    async def begun(name: str) -> bool:
        return any(each.endswith(name) for each in bigtop.balancers(cluster))

    await apply_ingress(api, "first")
    await eventually(lambda: begun("first"), within=WITHIN, what="Octavia has begun")
    await asyncio.to_thread(supervisor.kill, "kubernetes-balancers")
    await asyncio.to_thread(supervisor.start, "kubernetes-balancers")
    address = await address_of(lambda: networking.read_namespaced_ingress("first", "default"))
    assert bigtop.balancer(f"kube_ingress_{cluster}_default_first").floating_ips == (address,)
    await apply_ingress(api, "second")
    await address_of(lambda: networking.read_namespaced_ingress("second", "default"))
    await asyncio.to_thread(supervisor.kill, "kubernetes-balancers")
    for name in ("first", "second"):
        await delete_ingress(api, name)
    bare = {"metadata": {"finalizers": None}}
    await networking.patch_namespaced_ingress("second", "default", bare)
    await is_gone(lambda: networking.read_namespaced_ingress("second", "default"))
    assert (await networking.read_namespaced_ingress("first", "default")).metadata.finalizers
    await asyncio.to_thread(supervisor.start, "kubernetes-balancers")
    await is_gone(lambda: networking.read_namespaced_ingress("first", "default"))
    eventually_sync(
        lambda: not bigtop.balancers(cluster), within=WITHIN, what="nothing is left in the cloud"
    )


async def test_octavias_worker_is_killed_with_a_backlog(
    supervisor: Supervisor, api: ApiClient, bigtop: TenantNetwork, octavia: Any, cluster: str
) -> None:
    """What it had begun is in error when it is back, and what waited too: it is made anew."""
    networking = client.NetworkingV1Api(api)
    names = [f"orphan-{number}" for number in range(BACKLOG)]

    def pending() -> set[str]:
        return {
            each.id
            for each in octavia.load_balancers()
            if "_orphan-" in each.name and each.provisioning_status == "PENDING_CREATE"
        }

    await asyncio.to_thread(supervisor.pause, "octavia-worker")
    try:
        # All are seen in one look: the next one is only after the end of this.
        await asyncio.to_thread(supervisor.pause, "kubernetes-balancers")
        try:
            for name in names:
                await apply_ingress(api, name)
        finally:
            await asyncio.to_thread(supervisor.resume, "kubernetes-balancers")
        eventually_sync(
            lambda: len(pending()) == BACKLOG, within=WITHIN, what="Octavia's API has made all rows"
        )
        await asyncio.to_thread(supervisor.resume, "octavia-worker")
        eventually_sync(lambda: len(pending()) < BACKLOG, within=WITHIN, what="it has ended one")
        await asyncio.to_thread(supervisor.kill, "octavia-worker")
        left = pending()
        assert left
    finally:
        await asyncio.to_thread(supervisor.start, "octavia-worker")
    for name in names:
        await address_of(partial(networking.read_namespaced_ingress, name, "default"))
    assert not left & {each.id for each in octavia.load_balancers()}
    for name in names:
        await delete_ingress(api, name)
    for name in names:
        await is_gone(partial(networking.read_namespaced_ingress, name, "default"))
    assert not bigtop.balancers(cluster)


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


async def test_a_cluster_is_deleted_while_octavia_works_at_its_load_balancers(
    supervisor: Supervisor,
    alice: Clusters,
    bigtop: TenantNetwork,
    octavia: Any,
    template: str,
    tmp_path: Path,
) -> None:
    """Octavia refuses orders then; the driver waits, so one order to Magnum is enough."""
    made = alice.begin(template, nodes=1)
    name = f"kube_service_{made}_default_caught"
    try:
        alice.until(made, "CREATE_COMPLETE")
        async with alice.access(made).connected(tmp_path) as api:
            core = client.CoreV1Api(api)
            await asyncio.to_thread(supervisor.pause, "octavia-worker")
            try:
                await core.create_namespaced_service(
                    "default", service("caught", "LoadBalancer", 80)
                )
                eventually_sync(
                    lambda: [each.id for each in octavia.load_balancers(name=name)],
                    within=WITHIN,
                    what="Octavia's API has made its row",
                )
                deleted = asyncio.create_task(asyncio.to_thread(alice.delete_once, made))

                async def is_left() -> bool:
                    events = (await core.list_namespaced_event("default")).items
                    return any("left to who deletes" in event.message for event in events)

                await eventually(is_left, within=WITHIN, what="who makes them has let go")
                (seen,) = octavia.load_balancers(name=name)
                assert seen.provisioning_status == "PENDING_CREATE"
            finally:
                await asyncio.to_thread(supervisor.resume, "octavia-worker")
        await deleted
    finally:
        alice.delete(made)
    assert not bigtop.leftovers(made)


async def test_a_cluster_without_load_balancers_needs_no_octavia(
    supervisor: Supervisor, alice: Clusters, bigtop: TenantNetwork, template: str
) -> None:
    """It is registered in Keystone all the same, as after an `up` without it."""
    made = alice.begin(template, nodes=1)
    try:
        for part in ("octavia-worker", "octavia-api"):
            await asyncio.to_thread(supervisor.stop, part)
        alice.until(made, "CREATE_COMPLETE")
        alice.delete_once(made)
    finally:
        for part in ("octavia-api", "octavia-worker"):
            await asyncio.to_thread(supervisor.start, part)
        alice.delete(made)
    assert not bigtop.leftovers(made)


async def test_a_cluster_that_nobody_drained_leaves_nothing(
    alice: Clusters, bigtop: TenantNetwork, template: str, tmp_path: Path
) -> None:
    """Magnum itself removes what its Services have, and then the network and the credential."""
    made = alice.begin(template, nodes=1)
    try:
        alice.until(made, "CREATE_COMPLETE")
        async with alice.access(made).connected(tmp_path) as api:
            core = client.CoreV1Api(api)
            await core.create_namespaced_service("default", service("kept", "LoadBalancer", 80))
            await address_of(lambda: core.read_namespaced_service("kept", "default"))
        assert bigtop.balancers(made)
    finally:
        alice.delete(made)
    assert not bigtop.leftovers(made)
