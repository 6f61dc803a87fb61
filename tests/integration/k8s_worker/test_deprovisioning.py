"""A cluster's end on an API server that is there, over real TLS, whatever Magnum can't do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.k8s_worker.backend import DELETING, Cluster
from services.k8s_worker.kit import Kit
from services.k8s_worker.kubernetes_api import KubernetesApi
from services.k8s_worker.lookout import Lookout
from services.k8s_worker.provisioner import deprovision_cluster
from shared.contract.codec import envelope_for
from shared.contract.messages import DeprovisionCluster
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import TemporaryError
from shared.worker.command import Command
from shared.worker.errors import NotFound
from shared.worker.marks import Marks
from tests.support.api_server import ScriptedServer, api_server
from tests.unit.k8s_worker.magnum import Magnum

ID = "cluster-01jz0000000000000000000000"
KIT = Kit(Marks("test", "k8s_worker"), ())
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
WEB = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"type": "LoadBalancer"}}
WEB_AT = "/api/v1/namespaces/shop/services/web"


class House:
    """A Magnum in memory with one cluster, whose API server really answers."""

    def __init__(self, server: ScriptedServer) -> None:
        self.magnum, self.server = Magnum(), server
        self.lookout = Lookout(lambda _: KubernetesApi(server.access))
        self.cluster: Cluster = self.add("CREATE_COMPLETE")
        for kind in ("services", "persistentvolumeclaims", "persistentvolumes"):
            server.answers[f"GET /api/v1/{kind}"] = {"items": [WEB] if kind == "services" else []}
        server.answers["GET /api/v1/namespaces"] = {"items": []}
        server.answers["GET /version"] = {"gitVersion": "v1.20.2"}
        server.answers["GET /api/v1/nodes"] = {"items": []}

    def add(self, status: str) -> Cluster:
        self.magnum.kept.clear()
        address = self.server.access.address
        return self.magnum.add(ID, KIT.labels(ID), api_address=address, status=status)

    async def deprovision(
        self, *, draining: datetime | None = None, silent: datetime | None = None
    ) -> tuple[str, list[str]] | None:
        order = DeprovisionCluster(
            cloud="devcloud",
            cluster_id=self.cluster.id,
            drain=True,
            draining_since=draining,
            silent_since=silent,
            apps=(),
        )
        envelope = envelope_for(order, source="/test", subject=ID, tenant="bigtop")
        command = Command(order, envelope, False, Deadline.after(30))
        return await deprovision_cluster(self.magnum, KIT, self.lookout, command)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """One whose Service holds on to a load balancer."""
    async with api_server(tmp_path) as server:
        made = House(server)
        yield made
        await made.lookout.close()


async def test_a_lost_authority_ends_in_a_deletion_that_says_what_may_be_left(house: House) -> None:
    """Nobody gets in: the API server hears nothing, and the cluster goes after its minute."""
    house.magnum.unsigned = NotFound("X509KeyPair 7 could not be found.")
    with pytest.raises(TemporaryError, match="X509KeyPair 7") as waits:
        await house.deprovision()
    assert waits.value.reason == Reason.CLUSTER_NOT_READY
    assert house.magnum.kept
    done = await house.deprovision(silent=LONG_AGO)
    assert done is not None
    assert "X509KeyPair 7 could not be found." in done[1][0]
    assert (house.magnum.kept, house.server.asked) == ({}, [])


async def test_who_got_in_before_the_authority_was_lost_still_drains(house: House) -> None:
    """Its certificate is good until it ends."""
    await house.lookout.look(house.magnum, house.cluster)
    house.magnum.unsigned = NotFound("X509KeyPair 7 could not be found.")
    with pytest.raises(TemporaryError, match="Going before the cluster: Service shop/web"):
        await house.deprovision()
    assert f"DELETE {WEB_AT}" in house.server.asked
    house.server.answers["GET /api/v1/services"] = {"items": []}
    assert await house.deprovision() == (house.cluster.id, [])
    assert house.magnum.kept == {}


async def test_what_was_left_is_named_though_the_worker_died_when_it_had_ordered_the_end(
    house: House,
) -> None:
    """As long as the cluster that is going answers; then that it does not."""
    house.cluster = house.add(DELETING)
    given_up = await house.deprovision(draining=LONG_AGO)
    assert given_up == (house.cluster.id, ["Service shop/web"])
    house.cluster = house.add(DELETING)
    house.server.answers["GET /api/v1/services"] = (503, {"message": "shutting down"})
    given_up = await house.deprovision(draining=LONG_AGO)
    assert given_up is not None
    (words,) = given_up[1]
    assert words.startswith("whatever it had: ")
    assert "shutting down" in words
