"""Kubernetes clusters without Magnum, in a cloud of these tests' own: they kill their host."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from kubernetes_asyncio import client

from devcloud.api import Supervisor
from devcloud.components.kubernetes import clusters_root
from devcloud.credentials import write_private
from devcloud.plugins.colobus_devcloud_kubernetes.folder import (
    FAILED,
    RUNNING,
    Folder,
    Status,
    Wanted,
)
from tests.support.conditions import eventually, eventually_sync
from tests.support.devcloud import own_cloud
from tests.support.kubernetes import Access, leftovers, new_authority, processes_of, ready_nodes

pytestmark = pytest.mark.timeout(1800)  # where the programs aren't built yet
WITHIN = 120.0


@pytest.fixture(scope="module")
def cloud() -> Iterator[Supervisor]:
    """A running host of clusters."""
    with own_cloud("test-kubernetes") as made:
        made.up(["kubernetes-clusters"])
        yield made


class Cluster:
    """A cluster that is asked for as the driver does, with an authority of its own."""

    def __init__(self, cloud: Supervisor, name: str) -> None:
        self.site = cloud.site
        self.name = name
        self.authority = new_authority(name)
        self.folder = Folder(clusters_root(cloud.site) / name)

    def begin(self, nodes: int, ca_key: str | None = None) -> None:
        """Ask for it; its files belong to the host's user, as if the driver had made them."""
        key = ca_key or self.authority.key_text
        names = [f"node-{number}" for number in range(nodes)]
        made = Folder.create(
            self.folder.path.with_name(f".{self.name}"), self.authority.text, key, names
        )
        account = self.site.account
        for path in [made.path, *made.path.rglob("*")]:
            os.chown(path, account.uid, account.gid)
        made.path.rename(self.folder.path)

    def want(self, *nodes: str, deleted: bool = False) -> None:
        """Ask for these nodes."""
        owner = (self.site.account.uid, self.site.account.gid)
        text = json.dumps(asdict(Wanted(list(nodes), deleted)))
        write_private(self.folder.path / "wanted.json", text, owner)

    def is_up(self) -> Status:
        """Return its status once it runs as it is wanted."""

        def up() -> Status | None:
            status = self.folder.status()
            assert status.state != FAILED, status.reason
            done = status.state == RUNNING and list(status.nodes) == self.folder.wanted().nodes
            return status if done else None

        return eventually_sync(up, within=WITHIN, what=f"{self.name} runs")

    def access(self, status: Status) -> Access:
        """Return how its administrator opens it."""
        assert status.api_address is not None
        certificate, key = self.authority.administrator()
        return Access(status.api_address, self.authority.text, certificate, key)

    def is_gone(self) -> None:
        """Wait until nothing is left."""
        eventually_sync(
            lambda: not leftovers(self.site, self.name), within=60, what="nothing is left"
        )


async def all_ready(access: Access, folder: Path, count: int) -> None:
    """Wait until exactly so many nodes are Ready, to a client with that access."""
    async with access.connected(folder) as api:

        async def are() -> bool:
            return len(await ready_nodes(api)) == count

        await eventually(are, within=WITHIN, what=f"{count} nodes are Ready")


async def test_nodes_are_ready_and_come_and_go(cloud: Supervisor, tmp_path: Path) -> None:
    """Two, then three, then one, which is the one that was asked to stay; then nothing."""
    cluster = Cluster(cloud, "resized")
    cluster.begin(nodes=2)
    status = cluster.is_up()
    assert status.version == "v1.20.2"
    access = cluster.access(status)
    await all_ready(access, tmp_path, 2)
    cluster.want("node-0", "node-1", "node-2")
    cluster.is_up()
    await all_ready(access, tmp_path, 3)
    cluster.want("node-1")
    cluster.is_up()
    async with access.connected(tmp_path) as api:
        assert await ready_nodes(api) == {"node-1"}
    cluster.want(deleted=True)
    cluster.is_gone()


async def test_pods_of_a_deployment_run_on_all_nodes(cloud: Supervisor, tmp_path: Path) -> None:
    """Each kubelet has containers of its own; when a node is gone, its pods run elsewhere."""
    cluster = Cluster(cloud, "working")
    cluster.begin(nodes=2)
    access = cluster.access(cluster.is_up())
    await all_ready(access, tmp_path, 2)
    async with access.connected(tmp_path) as api:
        await client.AppsV1Api(api).create_namespaced_deployment("default", deployment(4))
        assert await running_pods(api, 4) == {"node-0", "node-1"}
        cluster.want("node-1")
        cluster.is_up()
        assert await running_pods(api, 4, on={"node-1"}) == {"node-1"}
    cluster.want(deleted=True)
    cluster.is_gone()


def deployment(replicas: int) -> dict[str, Any]:
    """Return a Deployment of pods that do nothing."""
    labels = {"app": "web"}
    container = {"name": "web", "image": "nginx"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": "web"}, "spec": spec}


async def running_pods(api: Any, count: int, on: set[str] | None = None) -> set[str]:
    """Wait until so many pods run, on these nodes only; return which nodes those are."""

    async def running() -> set[str] | None:
        pods = (await client.CoreV1Api(api).list_namespaced_pod("default")).items
        ready = [
            p for p in pods if p.status.phase == "Running" and not p.metadata.deletion_timestamp
        ]
        nodes = {pod.spec.node_name for pod in ready}
        return nodes if len(ready) == count and (on is None or nodes == on) else None

    return await eventually(running, within=WITHIN, what=f"{count} pods run on {on or 'nodes'}")


async def test_clusters_do_not_open_to_each_others_administrators(
    cloud: Supervisor, tmp_path: Path
) -> None:
    """Each takes its own authority's certificates only; and neither server passes for the other."""
    one, other = Cluster(cloud, "one"), Cluster(cloud, "other")
    for cluster in (one, other):
        cluster.begin(nodes=1)
    mine, theirs = (cluster.access(cluster.is_up()) for cluster in (one, other))
    assert mine.address != theirs.address
    stolen = Access(theirs.address, theirs.ca, mine.certificate, mine.key)
    async with stolen.connected(tmp_path / "stolen") as api:
        with pytest.raises(client.ApiException) as refused:
            await ready_nodes(api)
    assert refused.value.status == 401
    mistaken = Access(theirs.address, mine.ca, mine.certificate, mine.key)
    async with mistaken.connected(tmp_path / "mistaken") as api:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await ready_nodes(api)
    await all_ready(theirs, tmp_path / "theirs", 1)
    for cluster in (one, other):
        cluster.want(deleted=True)
    for cluster in (one, other):
        cluster.is_gone()


async def test_a_cluster_survives_its_host(cloud: Supervisor, tmp_path: Path) -> None:
    """The host is killed, and stopped; what the cluster stored is there after its start."""
    cluster = Cluster(cloud, "survivor")
    cluster.begin(nodes=1)
    access = cluster.access(cluster.is_up())
    async with access.connected(tmp_path) as api:
        await client.CoreV1Api(api).create_namespace({"metadata": {"name": "kept"}})
    host = cloud.site.processes.pid("kubernetes-clusters")
    assert host is not None
    os.kill(host, signal.SIGKILL)  # alone: its children are left
    assert processes_of(cloud.site, cluster.name)
    cloud.stop("kubernetes-clusters")
    assert not processes_of(cloud.site, cluster.name)
    cloud.start("kubernetes-clusters")

    async def kept() -> bool:
        try:
            async with access.connected(tmp_path) as api:
                return bool(await client.CoreV1Api(api).read_namespace("kept"))
        except aiohttp.ClientConnectorError:
            return False

    await eventually(kept, within=WITHIN, what="the namespace is there")
    await all_ready(access, tmp_path, 1)
    cluster.want(deleted=True)
    cluster.is_gone()


def test_a_process_that_ends_is_started_again(cloud: Supervisor) -> None:
    """The API server is killed."""
    cluster = Cluster(cloud, "restarted")
    cluster.begin(nodes=1)
    before = cluster.is_up().pids["kube-apiserver"]
    psutil.Process(before).kill()

    def another() -> bool:
        now = cluster.folder.status().pids.get("kube-apiserver")
        return now is not None and now != before

    eventually_sync(another, within=WITHIN, what="another API server runs")
    cluster.is_up()
    cluster.want(deleted=True)
    cluster.is_gone()


def test_one_that_cannot_start_says_why_and_leaves_no_process(cloud: Supervisor) -> None:
    """Its authority's key is none."""
    cluster = Cluster(cloud, "broken")
    cluster.begin(nodes=1, ca_key="no key")
    status = eventually_sync(
        lambda: status if (status := cluster.folder.status()).state == FAILED else None,
        within=WITHIN,
        what="it has failed",
    )
    assert status.reason is not None
    assert "Unable to load PEM file" in status.reason
    assert not processes_of(cloud.site, cluster.name)
    cluster.want(deleted=True)
    cluster.is_gone()
