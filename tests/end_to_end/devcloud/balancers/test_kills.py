"""Whoever makes load balancers is killed at work: each ends as it should, and nothing is left."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from kubernetes_asyncio import client
from kubernetes_asyncio.client.api_client import ApiClient

from devcloud.api import Supervisor
from tests.support.conditions import eventually, eventually_sync
from tests.support.ingresses import WITHIN, address_of, apply_ingress, delete_ingress, is_gone
from tests.support.octavia import TenantNetwork, unfinished

pytestmark = pytest.mark.timeout(1800)  # where Kubernetes isn't built yet
#: More than Octavia's worker makes at once, so that some wait while others are begun.
BACKLOG = 6


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
        held = min(pending())
        with unfinished(supervisor.site, held):
            await asyncio.to_thread(supervisor.resume, "octavia-worker")
            eventually_sync(lambda: len(pending()) < BACKLOG, within=WITHIN, what="one has ended")
            await asyncio.to_thread(supervisor.kill, "octavia-worker")
        left = pending()
        assert held in left
    finally:
        await asyncio.to_thread(supervisor.resume, "octavia-worker")
        await asyncio.to_thread(supervisor.start, "octavia-worker")
    for name in names:
        await address_of(partial(networking.read_namespaced_ingress, name, "default"))
    assert not left & {each.id for each in octavia.load_balancers()}
    for name in names:
        await delete_ingress(api, name)
    for name in names:
        await is_gone(partial(networking.read_namespaced_ingress, name, "default"))
    assert not bigtop.balancers(cluster)
