"""With its cluster a load balancer goes, whatever Octavia is doing just then."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio import client

from devcloud.api import Supervisor
from tests.support.conditions import eventually, eventually_sync
from tests.support.ingresses import WITHIN, address_of, service
from tests.support.magnum import Clusters
from tests.support.octavia import TenantNetwork

pytestmark = pytest.mark.timeout(1800)  # where Kubernetes isn't built yet


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
