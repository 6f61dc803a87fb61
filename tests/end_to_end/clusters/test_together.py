"""Many at once, on the real Magnum, Kubernetes and Octavia: clusters first, then apps on them."""

from __future__ import annotations

import asyncio

from colobus.client import Client
from colobus.models import CreateApp, CreateCluster, Phase
from tests.end_to_end.clusters.conftest import Magnum
from tests.support.kubectl import Kubectl
from tests.support.octavia import TenantNetwork
from tests.support.waiting import waited

CLUSTERS, APPS = 2, 10
LONGEST = 600.0


async def test_two_clusters_at_once_then_ten_apps_at_once_and_nothing_is_left(
    bigtop: Client, magnum: Magnum, kubectl: Kubectl, balancers: TenantNetwork
) -> None:
    """Each app is at an address of its own, on the cluster that was asked for."""
    asked = [
        await bigtop.create_cluster(CreateCluster(node_count=1, version="1.20"))
        for _ in range(CLUSTERS)
    ]
    clusters = await asyncio.gather(*(waited(bigtop, one.id, timeout=LONGEST) for one in asked))
    own = {one.id for one in asked}
    named = [one["name"] for one in magnum.clusters() if one["name"] in own]
    assert sorted(named) == sorted(own)
    asker = magnum.connection("bigtop")  # of all clusters; the credential of each is that user's
    for cluster in clusters:
        uuid = cluster.status.outputs["cluster_id"]
        there = await asyncio.to_thread(balancers.leftovers, uuid, asker)
        assert f"cluster-{uuid}" in there

    made = [
        await bigtop.create_app(
            CreateApp(
                cluster=clusters[number % CLUSTERS].id,
                image="nginx:1.25",
                port=80,
                host=f"app-{number}.example.org",
            )
        )
        for number in range(APPS)
    ]
    apps = await asyncio.gather(*(waited(bigtop, one.id, timeout=LONGEST) for one in made))
    addresses = [address for one in apps for address in one.status.outputs["addresses"]]
    assert len(addresses) == len(set(addresses)) == APPS
    for number, cluster in enumerate(clusters):
        kubeconfig = (await bigtop.kubeconfig(cluster.id)).kubeconfig
        shown = kubectl.ask(
            kubeconfig, "get", "ingresses", "--all-namespaces", "--output=name"
        ).stdout.splitlines()
        assert len(shown) == APPS // CLUSTERS
        namespaces = kubectl.ask(kubeconfig, "get", "namespaces", "--output=name").stdout.split()
        apps_of_it = {f"namespace/{one.id}" for one in made[number::CLUSTERS]}
        assert {one for one in namespaces if one.startswith("namespace/app")} == apps_of_it
        balancer = await asyncio.to_thread(
            balancers.balancers, cluster.status.outputs["cluster_id"]
        )
        assert len({one for one in balancer if one.startswith("kube_ingress_")}) == len(apps_of_it)

    for one in made:
        await bigtop.delete(one.id)
    await asyncio.gather(*(waited(bigtop, one.id, Phase.DELETED, timeout=LONGEST) for one in made))
    for cluster in clusters:
        left = balancers.balancers
        assert await asyncio.to_thread(left, cluster.status.outputs["cluster_id"]) == []
        await bigtop.delete(cluster.id)
    await asyncio.gather(
        *(waited(bigtop, one.id, Phase.DELETED, timeout=LONGEST) for one in clusters)
    )
    assert not own & {one["name"] for one in magnum.clusters()}
    for cluster in clusters:
        uuid = cluster.status.outputs["cluster_id"]
        assert await asyncio.to_thread(balancers.leftovers, uuid, asker) == []
