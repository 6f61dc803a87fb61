"""The whole life of clusters through Magnum's API: their API servers are real."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes_asyncio import client

from devcloud.api import Supervisor, open_devcloud
from devcloud.components.kubernetes import clusters_root
from tests.support import devcloud
from tests.support.conditions import eventually, eventually_sync
from tests.support.kubernetes import Access, leftovers, processes_of, ready_nodes
from tests.support.magnum import WITHIN, Clusters

pytestmark = pytest.mark.timeout(1800)  # where Kubernetes isn't built yet


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """The environment of the running cloud."""
    return devcloud.up("magnum")


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
def bob(environment: dict[str, str]) -> Clusters:
    """The clusters of a member of openlab."""
    return Clusters(environment, "bob")


@pytest.fixture
def template(alice: Clusters) -> Iterator[str]:
    """A template of Alice's."""
    with alice.template() as made:
        yield made


async def are_ready(access: Access, folder: Path, count: int) -> set[str]:
    """Wait until exactly so many nodes are Ready; return their names."""
    async with access.connected(folder) as api:

        async def ready() -> set[str] | None:
            names = await ready_nodes(api)
            return names if len(names) == count else None

        return await eventually(ready, within=WITHIN, what=f"{count} nodes are Ready")


async def test_a_cluster_is_made_resized_and_deleted(
    supervisor: Supervisor, alice: Clusters, template: str, tmp_path: Path
) -> None:
    """A certificate that Magnum issues opens it; after its deletion no process or file is left."""
    cluster = alice.begin(template, nodes=2)
    try:
        made = alice.until(cluster, "CREATE_COMPLETE")
        assert made.coe_version == "v1.20.2"
        assert len(made.node_addresses) == 2
        access = alice.access(cluster)
        assert await are_ready(access, tmp_path, 2) == {"node-0", "node-1"}
        alice.set_node_count(cluster, 3)
        alice.until(cluster, "UPDATE_COMPLETE")
        await are_ready(access, tmp_path, 3)
        alice.resize(cluster, 1, "node-0", "node-2")
        alice.until(cluster, "UPDATE_COMPLETE")
        assert await are_ready(access, tmp_path, 1) == {"node-1"}
    finally:
        alice.delete(cluster)
    assert not leftovers(supervisor.site, cluster)


async def test_two_tenants_clusters_do_not_open_to_each_others_credentials(
    alice: Clusters, bob: Clusters, template: str, tmp_path: Path
) -> None:
    """Neither through Magnum nor at the API server."""
    with bob.template() as his_template:
        hers, his = alice.begin(template, nodes=1), bob.begin(his_template, nodes=1)
        try:
            alice.until(hers, "CREATE_COMPLETE")
            bob.until(his, "CREATE_COMPLETE")
            mine, theirs = alice.access(hers), bob.access(his)
            assert alice.status(his) is None
            await are_ready(mine, tmp_path / "mine", 1)
            await are_ready(theirs, tmp_path / "theirs", 1)
            stolen = Access(theirs.address, theirs.ca, mine.certificate, mine.key)
            async with stolen.connected(tmp_path / "stolen") as api:
                with pytest.raises(client.ApiException) as refused:
                    await ready_nodes(api)
            assert refused.value.status == 401
        finally:
            alice.delete(hers)
            bob.delete(his)


async def test_the_conductor_is_killed_while_a_cluster_is_made(
    supervisor: Supervisor, alice: Clusters, template: str, tmp_path: Path
) -> None:
    """It is one cluster in the end, whose processes never cared; then again while it is deleted."""
    cluster = alice.begin(template, nodes=1)
    try:
        await eventually(
            lambda: _begun(supervisor, cluster), within=WITHIN, what="its first process runs"
        )
        await asyncio.to_thread(supervisor.kill, "magnum-conductor")
        assert processes_of(supervisor.site, cluster)
        await asyncio.to_thread(supervisor.start, "magnum-conductor")
        alice.until(cluster, "CREATE_COMPLETE")
        await are_ready(alice.access(cluster), tmp_path, 1)
        alice.magnum.delete_cluster(cluster)
        await asyncio.to_thread(supervisor.kill, "magnum-conductor")
    finally:
        await asyncio.to_thread(supervisor.start, "magnum-conductor")
        alice.delete(cluster)
    assert not leftovers(supervisor.site, cluster)


async def _begun(supervisor: Supervisor, cluster: str) -> bool:
    return bool(processes_of(supervisor.site, cluster))


def test_what_has_no_room_fails_and_says_so(
    supervisor: Supervisor, alice: Clusters, template: str
) -> None:
    """Before anything is started."""
    cluster = alice.begin(template, nodes=1000)
    try:
        with pytest.raises(AssertionError, match=r"CREATE_FAILED.*not 1000"):
            alice.until(cluster, "CREATE_COMPLETE")
        assert not leftovers(supervisor.site, cluster)
    finally:
        alice.delete(cluster)


def test_one_that_nobody_was_asked_to_make_fails_and_says_so(
    supervisor: Supervisor, alice: Clusters, template: str
) -> None:
    """As when the conductor is killed after it wrote its row and before it asked."""
    supervisor.stop("kubernetes-clusters")
    try:
        cluster = alice.begin(template, nodes=1)
        asked = clusters_root(supervisor.site) / cluster
        eventually_sync(asked.exists, within=WITHIN, what="the driver has asked")
        asked.rename(asked.with_name(f".{cluster}"))
        shutil.rmtree(asked.with_name(f".{cluster}"))
    finally:
        supervisor.start("kubernetes-clusters")
    try:
        with pytest.raises(AssertionError, match=r"CREATE_FAILED.*before it asked"):
            alice.until(cluster, "CREATE_COMPLETE")
    finally:
        alice.delete(cluster)
