"""compose.cluster.yaml: three brokers, two of each service, and any of them may go."""

from __future__ import annotations

import asyncio
import json

import pytest

from colobus import Client, CreateVm
from tests.compose.composed import SERVICES, Composed
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually
from tests.support.waiting import waited
from tests.support.webhooks import Receiver, receiving

#: The first test builds images and brings everything up.
pytestmark = pytest.mark.timeout(1800)
VMS = 6


def test_the_brokers_are_one_cluster(cluster: Composed) -> None:
    """And a work queue has a member on each of them."""
    shown = cluster.run_in(
        cluster.container("broker"), "rabbitmqctl", "cluster_status", "--formatter", "json"
    )
    assert len(json.loads(shown)["running_nodes"]) == 3
    queues = json.loads(
        cluster.run_in(
            cluster.container("broker"),
            *("rabbitmqctl", "list_queues", "--vhost", "colobus", "--formatter", "json"),
            *("name", "type", "members"),
        )
    )
    members = {queue["name"]: queue["members"] for queue in queues if queue["type"] == "quorum"}
    assert len(members["scheduler.requests"]) == 3


async def test_builds_go_on_when_a_broker_and_one_of_each_service_are_killed(
    cluster: Composed, environment: dict[str, str]
) -> None:
    """All become active, each webhook comes, all go again, and the cloud holds nothing of them."""
    cloud = Cloud(environment, cluster.name)
    async with (
        receiving() as receiver,
        Client(cluster.url(1), token=cluster.token) as first,
        Client(cluster.url(2), token=cluster.token) as second,
    ):
        wanted = CreateVm(image="debian-12", flavor="small", callback_url=cluster.hook(receiver))
        made = await asyncio.gather(*(first.create_vm(wanted) for _ in range(VMS)))
        ids = {vm.id for vm in made}

        async def one_is_being_built() -> bool:
            phases = [(await second.get(id)).status.phase for id in ids]
            return "provisioning" in phases

        await eventually(one_is_being_built)
        victims = [cluster.container("broker"), *(cluster.container(s) for s in SERVICES)]
        await asyncio.to_thread(cluster.kill, *victims)
        await asyncio.gather(*(waited(second, id) for id in ids))
        assert len(cloud.holds().servers) == VMS, "none is lost, none made twice"
        await _told(receiver, ids, "active")

        # What was killed comes back and works along, while the rest goes on.
        await asyncio.gather(*(second.delete(id) for id in ids))
        await asyncio.to_thread(cluster.start, *victims)
        await _told(receiver, ids, "deleted")
    assert cloud.holds().counts == NOTHING


async def _told(receiver: Receiver, ids: set[str], phase: str) -> None:
    def told() -> set[str]:
        events = [r.event["data"]["resource"] for r in receiver.at()]
        return {e["id"] for e in events if e["status"]["phase"] == phase}

    await receiver.until(lambda: told() == ids, seconds=240)
