"""A cluster is what its API server says, whatever Magnum says; and how it fares in trouble."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from colobus.client import Client
from colobus.models import CreateCluster, Operation, Phase, Resource
from devcloud.components.kubernetes import clusters_root
from devcloud.plugins.colobus_devcloud_kubernetes.folder import RUNNING, Folder, Status
from tests.end_to_end.clusters.conftest import Magnum
from tests.support.conditions import eventually
from tests.support.installation import Installation
from tests.support.kubectl import Kubectl
from tests.support.waiting import operation_ended, waited

WITHIN = 120.0
#: How long the end of a cluster may take whose API server is silent, in seconds.
LONGEST = 480.0


def _status(magnum: Magnum, cluster_id: str) -> Status | None:
    folder = Folder(clusters_root(magnum.supervisor.site) / cluster_id)
    return folder.status() if folder.exists() else None


def _pid(magnum: Magnum, cluster_id: str, name: str) -> int:
    status = _status(magnum, cluster_id)
    assert status is not None
    return status.pids[name]


@contextmanager
def _paused(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # its cluster was deleted meanwhile
            os.kill(process, signal.SIGCONT)


async def _operation(client: Client, id: str, node_count: int) -> Operation:
    """Resize, and return the operation when it has ended."""
    return await operation_ended(client, await client.resize_cluster(id, node_count))


async def test_a_dead_api_server_keeps_a_cluster_from_active_but_not_from_its_end(
    house: Installation, bigtop: Client, magnum: Magnum, kubectl: Kubectl
) -> None:
    """Magnum says COMPLETE all the while. The worker is killed meanwhile: it stays one cluster."""
    made = await bigtop.create_cluster(CreateCluster(node_count=1, version="1.20"))

    async def begun() -> str | None:
        found = magnum.clusters()
        return found[0]["uuid"] if found else None

    cluster_id = await eventually(begun, within=WITHIN, what="Magnum shows it")
    house.kill("k8s_worker")
    house.spawn("k8s_worker")

    async def runs() -> Status | None:
        status = _status(magnum, cluster_id)
        return status if status is not None and status.state == RUNNING else None

    status = await eventually(runs, within=WITHIN, what="it runs")
    api_server = status.pids["kube-apiserver"]
    with _paused(api_server):
        await eventually(
            lambda: _is(bigtop, made.id, Phase.PROVISIONING, "cluster_not_ready"),
            within=WITHIN,
            what="it is not active",
        )
        assert [one["status"] for one in magnum.clusters()] == ["CREATE_COMPLETE"]
        message = (await bigtop.get(made.id)).status.message or ""
        assert "does not answer in time" in message
    cluster = await waited(bigtop, made.id)
    assert [one["uuid"] for one in magnum.clusters()] == [cluster_id]
    assert cluster.status.outputs["cluster_id"] == cluster_id

    with _paused(api_server):
        await eventually(
            lambda: _is(bigtop, made.id, Phase.ACTIVE, "cluster_degraded"),
            within=WITHIN,
            what="it is degraded",
        )
        assert (await bigtop.get(made.id)).status.outputs["degraded"] is True
    await eventually(
        lambda: _is(bigtop, made.id, Phase.ACTIVE, None), within=WITHIN, what="it recovers"
    )
    assert (await bigtop.get(made.id)).status.outputs["degraded"] is False
    told = [(one.resource or made).status.reason async for one in bigtop.timeline(made.id)]
    assert "cluster_degraded" in told

    await _without_dns(bigtop, made.id, kubectl)
    await _without_its_node(bigtop, made.id, _pid(magnum, cluster_id, "node-node-0"))
    assert [one["status"] for one in magnum.clusters()] == ["CREATE_COMPLETE"]

    grown = await _operation(bigtop, made.id, 3)
    assert (grown.state, grown.node_count) == ("done", 3)
    larger = await bigtop.get(made.id)
    assert larger.spec["node_count"] == len(larger.status.outputs["nodes"]) == 3
    shrunk = await _operation(bigtop, made.id, 1)
    assert shrunk.state == "done"
    assert (await bigtop.get(made.id)).spec["node_count"] == 1

    await _goes_unanswered(bigtop, magnum, made.id, _pid(magnum, cluster_id, "kube-apiserver"))
    assert magnum.clusters() == []
    await _an_orphan_goes(magnum, made.id)


async def _without_dns(client: Client, id: str, kubectl: Kubectl) -> None:
    """What the template promises fails, and passes again."""
    kubeconfig = (await client.kubeconfig(id)).kubeconfig

    def scale(count: int) -> None:
        words = ("scale", "deployment", "coredns", "--namespace=kube-system")
        scaled = kubectl.ask(kubeconfig, *words, f"--replicas={count}")
        assert scaled.returncode == 0, scaled.stderr

    scale(0)
    await eventually(
        lambda: _is(client, id, Phase.ACTIVE, "cluster_degraded"), within=WITHIN, what="no DNS"
    )
    status = (await client.get(id)).status
    words = "dns: Service kube-system/kube-dns has no ready endpoint"
    assert status.message == f"Not all checks have passed: {words}."
    assert status.outputs["checks"][0]["passed"] is False
    scale(1)
    await eventually(
        lambda: _is(client, id, Phase.ACTIVE, None), within=WITHIN, what="it has DNS again"
    )
    assert (await client.get(id)).status.outputs["checks"][0]["passed"] is True


async def _without_its_node(client: Client, id: str, kubelet: int) -> None:
    """Its only node falls silent, and reports again."""

    async def lost() -> Resource | None:
        found = await client.get(id)
        words = (found.status.message or "").startswith("0 of 1 nodes are Ready; node-0: ")
        return found if words and found.status.reason == "cluster_degraded" else None

    with _paused(kubelet):
        status = (await eventually(lost, within=WITHIN, what="no node")).status
        assert status.phase is Phase.ACTIVE
        assert [(one["name"], one["ready"]) for one in status.outputs["nodes"]] == [
            ("node-0", False)
        ]
        assert (status.outputs["nodes_ready"], status.outputs["nodes_total"]) == (0, 1)
    await eventually(
        lambda: _is(client, id, Phase.ACTIVE, None), within=WITHIN, what="its node is back"
    )
    assert (await client.get(id)).status.outputs["nodes_ready"] == 1


async def _goes_unanswered(client: Client, magnum: Magnum, id: str, api_server: int) -> None:
    """It is waited a minute for an API server that is silent; then it is said what may be left."""
    with _paused(api_server):
        await client.delete(id)
        await eventually(
            lambda: _is(client, id, Phase.DEPROVISIONING, "cluster_not_ready"),
            within=WITHIN,
            what="nobody answers",
        )
        assert [one["status"] for one in magnum.clusters()] == ["UPDATE_COMPLETE"]
        gone = await waited(client, id, Phase.DELETED, timeout=LONGEST)
    (left,) = gone.status.outputs["left_behind"]
    assert left.startswith("whatever it had: ")
    assert "does not answer in time" in left


async def _is(client: Client, id: str, phase: Phase, reason: str | None) -> bool:
    status = (await client.get(id)).status
    return (status.phase, status.reason) == (phase, reason)


async def _an_orphan_goes(magnum: Magnum, id: str) -> None:
    """What bears the marks of one that was deleted is removed; of one that nobody knows not."""
    unknown = f"{id[:-4]}zzzz"
    orphan, stranger = magnum.make_by_hand(id), magnum.make_by_hand(unknown)

    async def left() -> bool:
        return [one["uuid"] for one in magnum.clusters()] == [stranger]

    await eventually(left, within=WITHIN, what="the orphan alone is gone")
    assert orphan != stranger
    magnum.clear("bigtop")
