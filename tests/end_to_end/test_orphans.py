"""Leaks made on purpose on the real cloud: ours are found and removed, others' never touched."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from colobus.client import Client
from colobus.models import CreateVm, Phase
from services.scheduler.orphans import ORDER_AGAIN
from shared.contract.identifiers import new_id
from shared.worker.marks import Marks
from tests.end_to_end.conftest import QUOTAS
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually, eventually_sync
from tests.support.installation import Installation, installation

#: Each test makes and removes VMs, and waits for removals one after the other.
pytestmark = pytest.mark.timeout(3600)
#: Censuses are taken so often, and judged so soon after an end, that a test can wait for some.
QUICK = {"scheduler": {"COLOBUS_CENSUS_SECONDS": "5", "COLOBUS_ORPHAN_MARGIN_SECONDS": "1"}}
#: How long the removal of an orphan may take, in seconds: an order that fails is given again after
#: three minutes, and then after five.
IN_TIME = (ORDER_AGAIN[0] + ORDER_AGAIN[1]).total_seconds() + 120
#: So many further censuses must leave alone what isn't ours to remove.
CENSUSES = 4


@pytest.fixture(scope="module")
def colobus(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """All services, with quick censuses."""
    with installation(environment, tmp_path_factory.mktemp("orphans"), QUOTAS, QUICK) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def cloud(environment: dict[str, str], colobus: Installation) -> Iterator[Cloud]:
    """The cloud as its administrator sees it."""
    seen = Cloud(environment, colobus.name)
    yield seen
    colobus.stop()
    seen.clear()


@dataclass
class Hand:
    """A user of the tenant's project, who makes things there by hand; all go at the end."""

    cloud: Any
    network_id: str
    external_id: str
    made: list[tuple[str, str]] = field(default_factory=list)

    def port(self, tags: Sequence[str], description: str) -> str:
        """A port on the tenant's network; its tags come first, so that they always count."""
        port = self.cloud.network.create_port(network_id=self.network_id, name="by-hand")
        self.made.append(("port", port.id))
        self.cloud.network.set_tags(port, sorted(set(tags)))
        self.cloud.network.update_port(port, description=description)
        return str(port.id)

    def floating_ip(self, tags: Sequence[str], description: str, port_id: str | None = None) -> str:
        """A floating IP, on the port if one is named."""
        fields = {} if port_id is None else {"port_id": port_id}
        ip = self.cloud.network.create_ip(
            floating_network_id=self.external_id, description=description, **fields
        )
        self.made.append(("floating_ip", ip.id))
        self.cloud.network.set_tags(ip, list(tags))
        return str(ip.id)

    def server(self, tags: Sequence[str], port_id: str | None = None) -> str:
        """A server, on the port if one is named."""
        server = self.cloud.compute.create_server(
            name="by-hand",
            image_id=self.cloud.image.find_image("debian-12").id,
            flavor_id=self.cloud.compute.find_flavor("small").id,
            networks="none" if port_id is None else [{"port": port_id}],
            tags=list(tags),
        )
        self.made.append(("server", server.id))
        return str(server.id)

    def leak(self, marks: Marks, vm: str) -> None:
        """What a VM is made of, once more; marked when all is there, else it went meanwhile."""
        tags, description = marks.tags(vm), marks.description(vm)
        compute, network = self.cloud.compute, self.cloud.network
        port = self.port((), "")
        ip = self.floating_ip((), "", port)
        server = self.server((), port)
        eventually_sync(  # Nova takes tags afterwards only for a server that is built
            lambda: compute.get_server(server).status == "ACTIVE",
            within=180,
            what="the server is there",
        )
        compute.put(f"/servers/{server}/tags", json={"tags": tags}, microversion="2.69")
        network.update_port(port, description=description)
        network.set_tags(network.get_port(port), list(tags))
        network.update_ip(ip, description=description)

    def left(self) -> list[tuple[str, str]]:
        """What was made and is still there."""
        return [(what, id) for what, id in self.made if self._is_there(what, id)]

    def _is_there(self, what: str, id: str) -> bool:
        if what == "server":
            return self.cloud.compute.find_server(id) is not None
        found = self.cloud.network.ports(id=id) if what == "port" else self.cloud.network.ips(id=id)
        return any(True for _ in found)

    def clean_up(self) -> None:
        """Remove what is still there."""
        for what, id in reversed(self.left()):
            if what == "server":
                self.cloud.compute.delete_server(id)
            elif what == "floating_ip":
                self.cloud.network.delete_ip(id)
        servers = [id for what, id in self.made if what == "server"]
        eventually_sync(
            lambda: not any(self.cloud.compute.find_server(id) for id in servers),
            within=180,
            what="no server is left",
        )
        for what, id in self.left():
            if what == "port":
                self.cloud.network.delete_port(id)


@pytest.fixture
def hand(environment: dict[str, str], cloud: Cloud, living: str) -> Iterator[Hand]:
    """The service user's own hand, in bigtop's project, where a VM has made the network."""
    del living
    connection = cloud.connect("devcloud", environment["DEVCLOUD_PROJECT_ID_BIGTOP"])
    network = next(
        one for one in connection.network.networks() if one.description == cloud.marks.description()
    )
    external = next(iter(connection.network.networks(is_router_external=True)))
    made = Hand(connection, network.id, external.id)
    with ExitStack() as stack:
        stack.callback(made.clean_up)
        yield made


async def _metrics(colobus: Installation) -> dict[str, float]:
    """The scheduler's metrics by name and labels."""
    url = f"{colobus.url_of('scheduler')}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        text = await response.text()
    lines = re.findall(r"^(colobus_\S*(?:\{.*?\})?) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in lines}


def _sum(metrics: dict[str, float], name: str, *labels: str) -> float:
    return sum(
        value
        for key, value in metrics.items()
        if key.partition("{")[0] == name and all(label in key for label in labels)
    )


async def _more_censuses(colobus: Installation) -> None:
    """Wait until several more censuses have been taken and absorbed."""
    name = "colobus_worker_commands_total"
    labels = ('command="TakeCensus"', 'outcome="done"')

    async def taken() -> float:
        url = f"{colobus.url_of('vm_worker')}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            lines = re.findall(r"^(colobus_\S*(?:\{.*?\})?) (\S+)$", await response.text(), re.M)
        return _sum({key: float(value) for key, value in lines}, name, *labels)

    before = await taken()

    async def enough() -> bool:
        return await taken() >= before + CENSUSES

    await eventually(enough, within=120, what=f"{CENSUSES} more censuses")


async def _deleted(client: Client) -> str:
    """A VM that was there and is deleted."""
    vm = await client.create_vm(CreateVm(image="debian-12", flavor="small"))
    await client.wait(vm.id, timeout=280)
    await client.delete(vm.id)
    await client.wait(vm.id, Phase.DELETED, timeout=280)
    return vm.id


async def _failed(client: Client) -> str:
    """A VM that could not be made."""
    vm = await client.create_vm(CreateVm(image="no-such-image", flavor="small"))

    async def failed() -> bool:
        return (await client.get(vm.id)).status.phase == Phase.FAILED

    await eventually(failed, within=280, what="failed")
    return vm.id


async def _until_gone(cloud: Cloud, *vms: str) -> None:
    async def gone() -> bool:
        held = await asyncio.to_thread(lambda: [cloud.holds(vm).counts for vm in vms])
        return held == [NOTHING] * len(vms)

    await eventually(gone, within=IN_TIME, what=f"nothing of {vms} is left")


@pytest.fixture
async def living(bigtop: Client) -> AsyncIterator[str]:
    """A VM that is active the whole time, with a floating IP."""
    vm = await bigtop.create_vm(CreateVm(image="debian-12", flavor="small", floating_ip=True))
    await bigtop.wait(vm.id, timeout=280)
    yield vm.id
    await bigtop.delete(vm.id)
    await bigtop.wait(vm.id, Phase.DELETED, timeout=280)


async def test_leaks_of_ended_vms_are_found_and_removed(
    colobus: Installation, cloud: Cloud, bigtop: Client, living: str, hand: Hand
) -> None:
    """Of a deleted and of a failed VM; made again after that, they go again; each is counted."""
    vms = [await _deleted(bigtop), await _failed(bigtop)]
    before = _sum(await _metrics(colobus), "colobus_orphans_removed_total")
    for vm in vms:
        await asyncio.to_thread(hand.leak, cloud.marks, vm)
    await _until_gone(cloud, *vms)

    async def counted(number: int) -> bool:
        now = _sum(await _metrics(colobus), "colobus_orphans_removed_total", "orphan")
        return now == before + number

    await eventually(lambda: counted(6), what="six removals are counted")
    await asyncio.to_thread(hand.leak, cloud.marks, vms[0])
    await _until_gone(cloud, *vms)
    await eventually(lambda: counted(9), what="nine removals are counted")
    assert await asyncio.to_thread(hand.left) == []
    assert cloud.holds(living).counts == (1, 1, 1)


async def test_what_is_not_ours_or_not_known_is_never_touched(
    colobus: Installation, cloud: Cloud, bigtop: Client, living: str, hand: Hand
) -> None:
    """No marks, others' marks, look-alikes, marks that disagree, marks of an unknown VM."""
    ours, dead, unknown = cloud.marks, await _deleted(bigtop), new_id("vm")

    def make() -> None:
        for marks in (Marks("someoneelse", "vm_worker"), Marks(f"{ours.installation_id}x", "w")):
            hand.port(marks.tags(dead), marks.description(dead))
            hand.server(marks.tags(dead))
        hand.port((), "")
        hand.port((f"colobus-resource-{dead}",), f"colobus installation={ours.installation_id}")
        hand.floating_ip((), f"for {dead}")
        hand.port(ours.tags(unknown), ours.description(unknown))
        hand.server(ours.tags(unknown))
        # Marks of a deleted VM beside those of another: nobody can tell whose it is.
        hand.port((*ours.tags(dead), *ours.tags(living)), ours.description(living))
        hand.server((*ours.tags(dead), ours.resource(living)))
        hand.port((*ours.tags(dead), *Marks("someoneelse", "w").tags(dead)), "")

    await asyncio.to_thread(make)
    await _more_censuses(colobus)

    async def told() -> bool:
        metrics = await _metrics(colobus)
        return _sum(metrics, "colobus_orphans", '"unknown"') == 2

    await eventually(told, what="the unknown are counted")
    await _more_censuses(colobus)
    assert await asyncio.to_thread(hand.left) == hand.made
    assert cloud.holds(living).counts >= (1, 1, 1)
    metrics = await _metrics(colobus)
    assert _sum(metrics, "colobus_census_holdings", '"server"') >= 2
    assert 0 <= _sum(metrics, "colobus_census_age_seconds") < 60
    assert _sum(metrics, "colobus_orphan_removals_failed_total", 'retryable="false"') >= 1


async def test_of_two_things_of_a_living_vm_the_recorded_one_stays(
    colobus: Installation, cloud: Cloud, bigtop: Client, living: str, hand: Hand
) -> None:
    """A second port and floating IP of an active VM go; the VM itself is not touched."""
    tags, description = cloud.marks.tags(living), cloud.marks.description(living)
    server = cloud.holds(living).servers[0]["id"]

    def make() -> None:
        hand.floating_ip(tags, description)
        hand.port(tags, description)

    await asyncio.to_thread(make)

    async def gone() -> bool:
        return not await asyncio.to_thread(hand.left)

    await eventually(gone, within=IN_TIME, what="the surplus is gone")
    held = cloud.holds(living)
    assert held.counts == (1, 1, 1)
    assert held.servers[0]["id"] == server
    assert (await bigtop.get(living)).status.phase == Phase.ACTIVE
    assert _sum(await _metrics(colobus), "colobus_orphans_removed_total", "surplus") >= 2


@pytest.mark.parametrize("service", ["vm_worker", "scheduler"])
async def test_kills_in_the_middle_leave_no_orphan_and_touch_nothing_else(
    colobus: Installation, cloud: Cloud, bigtop: Client, living: str, hand: Hand, service: str
) -> None:
    """Kill -9 as soon as the first of the leaks is gone; the others follow, the living stay."""
    vms = [await _deleted(bigtop) for _ in range(2)]
    for vm in vms:
        await asyncio.to_thread(hand.leak, cloud.marks, vm)
    stranger = await asyncio.to_thread(hand.port, (), "somebody's")

    async def begun() -> bool:
        return len(await asyncio.to_thread(hand.left)) < len(hand.made)

    await eventually(begun, within=IN_TIME, what="the first is gone")
    colobus.kill(service)
    colobus.start(service)
    await _until_gone(cloud, *vms)
    assert await asyncio.to_thread(hand.left) == [("port", stranger)]
    assert cloud.holds(living).counts == (1, 1, 1)
