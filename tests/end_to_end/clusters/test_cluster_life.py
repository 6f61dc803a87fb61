"""Clusters from POST to a kubeconfig and back to nothing, on the real Magnum and Kubernetes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from cryptography import x509

from colobus.client import Client
from colobus.errors import ApiError, ResourceEnded
from colobus.models import CreateCluster, Phase, Resource
from tests.end_to_end.clusters.conftest import Magnum, decoded
from tests.support.conditions import eventually
from tests.support.installation import Installation
from tests.support.kubectl import Kubectl
from tests.support.kubernetes import leftovers
from tests.support.leaks import Leaks, Tap, search
from tests.support.octavia import TenantNetwork
from tests.support.waiting import waited

#: A load balancer of Octavia's whose Service the test holds on to, so that the cluster has to wait
#: for it; a pod with a volume, and a database, whose controller makes volume and pod anew when they
#: go.
OUTSIDE = """
apiVersion: v1
kind: Service
metadata: {name: web, finalizers: [example.org/balancer]}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers: [{name: web, image: nginx}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, image: mysql, volumeMounts: [{name: rows, mountPath: /rows}]}]
  volumeClaimTemplates:
  - metadata: {name: rows}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
#: How long Octavia may take, in seconds.
WITHIN = 120.0
#: As the StatefulSet's controller would make it.
ANOTHER_CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: rows-db-0}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""


def _nodes(cluster: Resource) -> dict[str, bool]:
    return {one["name"]: one["ready"] for one in cluster.status.outputs["nodes"]}


def _user(kubeconfig: str) -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load(kubeconfig)["users"][0]["user"]
    return found


def _at(kubeconfig: str, other: str) -> str:
    """The same credentials at the other one's API server, whose authority is believed."""
    mine, theirs = yaml.safe_load(kubeconfig), yaml.safe_load(other)
    return yaml.safe_dump(
        {**mine, "clusters": [{**theirs["clusters"][0], "name": "stolen"}]}
    ).replace(f"cluster: {mine['clusters'][0]['name']}", "cluster: stolen")


async def _refused(attempt: Any) -> tuple[int | None, str | None]:
    with pytest.raises(ApiError) as refused:
        await attempt
    return refused.value.problem.status, refused.value.problem.reason


async def test_two_tenants_clusters_from_post_to_kubeconfig_to_nothing(
    house: Installation,
    bigtop: Client,
    openlab: Client,
    magnum: Magnum,
    kubectl: Kubectl,
    balancers: TenantNetwork,
) -> None:
    """Each opens to its owner's kubeconfig alone; the keys are in no message, table or log.

    What one has in the cloud goes before it, while Magnum still has all of the cluster.
    """
    async with Tap.on(house) as tap:
        mine = await bigtop.create_cluster(CreateCluster(node_count=2, version="1.20"))
        yours = await openlab.create_cluster(CreateCluster(node_count=1, version="1.20"))
        assert await _refused(bigtop.kubeconfig(mine.id)) == (409, "cluster_not_ready")
        third = await openlab.create_cluster(CreateCluster(node_count=1, version="1.20"))
        await eventually(lambda: _waits(openlab, third.id), what="the quota holds it up")
        await openlab.delete(third.id)

        cluster, other = await asyncio.gather(waited(bigtop, mine.id), waited(openlab, yours.id))
        assert (_nodes(cluster), _nodes(other)) == (
            {"node-0": True, "node-1": True},
            {"node-0": True},
        )
        assert all(one["address"] for one in cluster.status.outputs["nodes"])
        assert cluster.status.outputs["kubernetes_version"] == "v1.20.2"
        assert cluster.status.outputs["degraded"] is False
        dns = {"name": "dns", "passed": True, "message": None}
        assert cluster.status.outputs["checks"] == [dns]
        (shown,) = magnum.clusters()
        assert (shown["name"], shown["status"]) == (mine.id, "CREATE_COMPLETE")
        assert len(magnum.templates()) == 1

        first, second = await bigtop.kubeconfig(mine.id), await bigtop.kubeconfig(mine.id)
        theirs = await openlab.kubeconfig(yours.id)
        assert await _refused(openlab.kubeconfig(mine.id)) == (404, "not_found")
        assert kubectl.ready_nodes(first.kubeconfig) == {"node-0", "node-1"}
        assert kubectl.ready_nodes(theirs.kubeconfig) == {"node-0"}
        stolen = kubectl.ask(_at(first.kubeconfig, theirs.kubeconfig), "get", "nodes")
        assert stolen.returncode != 0
        assert "Unauthorized" in stolen.stderr
        certificate = x509.load_pem_x509_certificate(
            decoded(_user(first.kubeconfig)["client-certificate-data"])
        )
        assert first.expires_at == certificate.not_valid_after_utc
        assert first.expires_at > datetime.now(UTC) + timedelta(hours=1)
        keys = [
            decoded(_user(one.kubeconfig)["client-key-data"]) for one in (first, second, theirs)
        ]
        assert len(set(keys)) == 3

        made_inside = kubectl.ask(first.kubeconfig, "apply", "--filename=-", stdin=OUTSIDE)
        assert made_inside.returncode == 0, made_inside.stderr
        await eventually(
            lambda: _has(kubectl, first.kubeconfig, "persistentvolumeclaim/rows-db-0"),
            what="the database has its claim",
        )
        address = await eventually(
            lambda: _address(kubectl, first.kubeconfig), within=WITHIN, what="web has an address"
        )
        name = f"kube_service_{shown['uuid']}_default_web"
        balancer = await asyncio.to_thread(balancers.balancer, name)
        assert (balancer.status, balancer.floating_ips) == ("ACTIVE", (address,))
        await bigtop.delete(mine.id)
        await openlab.delete(yours.id)
        await eventually(
            lambda: _says(bigtop, mine.id, "Going before the cluster: Service default/web."),
            what="the balancer holds it up",
        )
        await eventually(
            lambda: _is_empty(kubectl, first.kubeconfig), what="claims and pods have gone"
        )
        anew = kubectl.ask(first.kubeconfig, "create", "--filename=-", stdin=ANOTHER_CLAIM)
        assert "exceeded quota: colobus-draining" in anew.stderr
        assert await _is_empty(kubectl, first.kubeconfig)
        await eventually(
            lambda: _has_none(balancers, shown["uuid"]), within=WITHIN, what="Octavia has none"
        )
        assert [one["status"] for one in magnum.clusters()] == ["CREATE_COMPLETE"]
        gone = ("--type=merge", '--patch={"metadata": {"finalizers": null}}')
        assert kubectl.ask(first.kubeconfig, "patch", "service", "web", *gone).returncode == 0
        for who, one in ((bigtop, mine), (openlab, yours), (openlab, third)):
            await waited(who, one.id, Phase.DELETED)
        body = {str(number): key.splitlines()[1] for number, key in enumerate(keys)}
        leaks = Leaks(body)
        await search(leaks, house, tap)
    assert leaks.found == set()
    assert leaks.bytes_seen > 10_000
    assert magnum.clusters("bigtop") == magnum.clusters("openlab") == []
    assert not leftovers(magnum.supervisor.site, shown["uuid"])
    asker = magnum.connection("bigtop")  # of the cluster; its credential is that user's
    assert await asyncio.to_thread(balancers.leftovers, shown["uuid"], asker) == []
    assert await _refused(bigtop.kubeconfig(mine.id)) == (409, "wrong_phase")


async def _says(client: Client, id: str, message: str) -> bool:
    status = (await client.get(id)).status
    return (status.phase, status.message) == (Phase.DEPROVISIONING, message)


async def _is_empty(kubectl: Kubectl, kubeconfig: str) -> bool:
    found = kubectl.ask(kubeconfig, "get", "pvc,pods", "--output=name")
    return (found.returncode, found.stdout) == (0, "")


async def _address(kubectl: Kubectl, kubeconfig: str) -> str:
    form = "--output=jsonpath={.status.loadBalancer.ingress[0].ip}"
    shown = await asyncio.to_thread(kubectl.ask, kubeconfig, "get", "service", "web", form)
    return shown.stdout


async def _has_none(balancers: TenantNetwork, cluster: str) -> bool:
    return not await asyncio.to_thread(balancers.balancers, cluster)


async def _has(kubectl: Kubectl, kubeconfig: str, name: str) -> bool:
    return kubectl.ask(kubeconfig, "get", name).returncode == 0


async def _waits(client: Client, id: str) -> bool:
    status = (await client.get(id)).status
    return (status.phase, status.reason) == (Phase.WAITING, "quota_exceeded")


async def test_what_can_not_be_had_fails_with_the_reason_and_leaves_nothing(
    bigtop: Client, magnum: Magnum
) -> None:
    """Of versions those are told that there are; of a failure Magnum's own words."""
    unknown = await bigtop.create_cluster(CreateCluster(node_count=1, version="1.99"))
    with pytest.raises(ResourceEnded, match=r"No Kubernetes 1\.99.*there are: 1\.20"):
        await bigtop.wait(unknown.id, timeout=60)
    absent = await bigtop.create_cluster(
        CreateCluster(node_count=1, version="1.20", flavor="no-such")
    )
    with pytest.raises(ResourceEnded, match="no-such"):
        await bigtop.wait(absent.id, timeout=60)
    huge = await bigtop.create_cluster(CreateCluster(node_count=500, version="1.20"))
    with pytest.raises(ResourceEnded, match="room for 20 nodes"):
        await bigtop.wait(huge.id, timeout=120)
    reasons = [(await bigtop.get(one.id)).status.reason for one in (unknown, absent, huge)]
    assert reasons == ["version_not_found", "flavor_not_found", "cluster_failed"]
    assert magnum.clusters() == []
