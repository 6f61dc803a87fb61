"""What is seen of clusters, and that no one of them costs the others their look."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from services.k8s_worker import observer
from services.k8s_worker.backend import Access, Look, Node
from services.k8s_worker.kit import Kit
from services.k8s_worker.lookout import Lookout
from services.k8s_worker.observer import MOST_NODES, inspect_clusters, observation_of
from shared.contract.codec import MAX_BYTES, envelope_for
from shared.contract.messages import (
    ClusterInspection,
    ClusterInspectionFailed,
    ClusterObserved,
    InspectClusters,
    Message,
)
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import TemporaryError
from shared.worker.command import Command
from shared.worker.marks import Marks
from tests.support.conditions import eventually
from tests.unit.k8s_worker.magnum import Magnum, Server

KIT = Kit(Marks("test", "k8s_worker"), ())
BROKEN = TemporaryError("400", reason=Reason.BACKEND_REFUSED)


class House:
    """Clusters whose API servers the test has in its hands."""

    def __init__(self, *names: str) -> None:
        self.magnum = Magnum()
        self.ids = {
            name: self.magnum.add(name, KIT.labels(name), api_address=f"https://{name}").id
            for name in names
        }
        self.servers: dict[str, Server] = {}
        self.lookout = Lookout(self._connect)
        self.behaves: dict[str, Any] = {}

    def _connect(self, access: Access) -> Server:
        server = self.servers[access.address] = Server(access)
        for name, value in self.behaves.get(access.address, {}).items():
            setattr(server, name, value)
        return server

    async def inspect(self, **asked: str | None) -> dict[str, Message]:
        clusters = tuple(
            ClusterInspection(resource_id=name, tenant="bigtop", cluster_id=cluster_id)
            for name, cluster_id in asked.items()
        )
        message = InspectClusters(cloud="devcloud", clusters=clusters)
        envelope = envelope_for(message, source="/test", subject="k8s_worker/devcloud", tenant="-")
        command = Command(message, envelope, False, Deadline.after(30), False)
        found = await inspect_clusters(self.magnum, self.lookout, KIT, command)
        return {one.resource_id: one.message for one in found}


async def test_one_that_never_answers_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are seen, and it alone could not be."""
    monkeypatch.setattr(observer, "LIFE", 2.0)
    house = House("good", "bad")
    house.behaves["https://bad"] = {"answering": asyncio.Event()}
    seen = await house.inspect(**house.ids)
    assert isinstance(seen["good"], ClusterObserved)
    assert isinstance(seen["bad"], ClusterInspectionFailed)
    assert (seen["good"].version, seen["bad"].resource_ids) == ("v1.20.2", ("bad",))
    await house.lookout.close()


async def test_where_the_list_is_broken_those_that_are_known_are_asked_for() -> None:
    """By id or by name; of one that somebody else has nothing can be said."""
    house = House("known")
    house.magnum.unlisted = [BROKEN]
    asked = {"known": house.ids["known"], "new": None, "gone": "m-9", "stolen": "m-1"}
    seen = await house.inspect(**asked)
    assert isinstance(seen["known"], ClusterObserved)
    assert not seen["known"].gone
    for name in ("new", "gone"):
        none = seen[name]
        assert isinstance(none, ClusterObserved)
        assert none.gone
    failed = seen["stolen"]
    assert isinstance(failed, ClusterInspectionFailed)
    assert failed.problem.reason == Reason.BACKEND_REFUSED
    seen = await house.inspect(gone="m-9")
    assert isinstance(seen["gone"], ClusterObserved)
    assert seen["gone"].gone


async def test_one_that_can_not_be_shown_is_neither_gone_nor_in_the_others_way() -> None:
    """It has lost its template, say: the list is broken as long as it is there."""
    house = House("good", "spoiled")
    house.magnum.unshowable = {house.ids["spoiled"]}
    seen = await house.inspect(**house.ids)
    assert isinstance(seen["good"], ClusterObserved)
    assert not seen["good"].gone
    assert isinstance(seen["spoiled"], ClusterInspectionFailed)
    await house.lookout.close()


async def test_one_in_the_making_is_prepared_for_and_not_asked() -> None:
    """Its server may not be there yet; what opens it takes Magnum a while, and is known by then."""
    house = House()
    made = house.magnum.add("new", KIT.labels("new"), status="CREATE_IN_PROGRESS")
    seen = await house.inspect(new=made.id)
    assert isinstance(seen["new"], ClusterObserved)
    assert seen["new"].cluster_status == "CREATE_IN_PROGRESS"

    async def signed() -> bool:
        return house.magnum.signatures == 1

    await eventually(signed, what="a certificate is signed")
    assert house.servers == {}
    await house.lookout.close()


def test_ten_thousand_nodes_are_told_within_bounds() -> None:
    """Who owns a cluster may register what he likes: the worst are told, all are counted."""
    nodes = [
        Node(f"n-{'x' * 240}-{one:05}", one >= 5, "1.2.3.4", "r" * 200) for one in range(10_000)
    ]
    cluster = Magnum().add("c", {})
    seen = observation_of(datetime.now(UTC), cluster, Look("v1.20.2", tuple(nodes)))
    assert (seen.nodes_total, seen.nodes_ready, len(seen.nodes)) == (10_000, 9_995, MOST_NODES)
    assert sum(not one.ready for one in seen.nodes) == 5
    assert [one.name for one in seen.nodes] == sorted(one.name for one in seen.nodes)
    assert len(msgspec.json.encode(seen)) < MAX_BYTES / 2
