"""Clusters from POST to a kubeconfig and back to nothing, on the real Magnum and Kubernetes."""

from __future__ import annotations

from colobus.client import Client
from colobus.models import CreateCluster, Phase
from tests.end_to_end.clusters.conftest import Magnum
from tests.support.kubernetes import leftovers
from tests.support.waiting import waited


async def test_a_cluster_from_post_to_ready_to_nothing(bigtop: Client, magnum: Magnum) -> None:
    """Its nodes are in its outputs."""
    made = await bigtop.create_cluster(CreateCluster(node_count=2, version="1.20"))
    cluster = await waited(bigtop, made.id)
    (shown,) = magnum.clusters()
    assert (shown["name"], shown["status"]) == (made.id, "CREATE_COMPLETE")
    assert cluster.status.outputs["cluster_id"] == shown["uuid"]
    assert {one["name"]: one["ready"] for one in cluster.status.outputs["nodes"]} == {
        "node-0": True,
        "node-1": True,
    }
    await bigtop.delete(made.id)
    await waited(bigtop, made.id, Phase.DELETED)
    assert magnum.clusters() == []
    assert not leftovers(magnum.supervisor.site, shown["uuid"])
