"""Push instead of poll: a cloud's own notifications end waits, inspections are what is behind them.

Each way alone, the switch between them in mid-work, and what it saves.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pika
import pytest

from colobus.client import Client
from colobus.errors import ResourceEnded
from colobus.models import CreateVm, OperationState, Phase, Reason, Resource, Verb
from services.vm_worker.notifications import BINDINGS
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually
from tests.support.installation import Installation, installation
from tests.support.metrics import total
from tests.support.proxy import Proxy

#: A VM may take six minutes from asked for to gone, and some tests make several in turn.
pytestmark = pytest.mark.timeout(2700)

CLOUD = "devcloud"
NEVER = "3600"
#: How many VMs come and go at once where their cost is counted.
VMS = 4
SMALL = CreateVm(image="debian-12", flavor="small")
QUOTAS = {"bigtop": {"vms": 12, "floating_ips": 4}}


@contextmanager
def _installed(
    environment: dict[str, str],
    folder: Path,
    *,
    worker: dict[str, str] | None = None,
    scheduler: dict[str, str] | None = None,
) -> Iterator[Installation]:
    extra = {"vm_worker": worker or {}, "scheduler": scheduler or {}}
    with installation(environment, folder, QUOTAS, extra) as made:
        made.start()
        try:
            yield made
        finally:
            made.stop()
            Cloud(environment, made.name).clear()


@asynccontextmanager
async def _vm(client: Client, request: CreateVm = SMALL) -> AsyncIterator[Resource]:
    """A VM, from asked for to gone."""
    vm = await client.create_vm(request)
    try:
        yield vm
    finally:
        await client.delete(vm.id)
        await client.wait(vm.id, Phase.DELETED, timeout=180)


async def _work(client: Client) -> None:
    """A VM comes and goes."""
    async with _vm(client) as vm:
        await client.wait(vm.id, timeout=180)


def _bigtop(colobus: Installation) -> Client:
    return Client(colobus.url, token=colobus.tokens["bigtop"])


async def _trusted(colobus: Installation) -> bool:
    seen = await total(colobus, "scheduler", "colobus_notifications_trusted", cloud=CLOUD)
    return seen == 1


async def _ended(colobus: Installation, by: str) -> float:
    return await total(colobus, "scheduler", "colobus_waits_ended_total", cloud=CLOUD, by=by)


async def _until_trusted(colobus: Installation, client: Client) -> None:
    """Work until the notifications are relied on (again)."""

    async def relied_on() -> bool:
        await _work(client)
        return await _trusted(colobus)

    await eventually(relied_on, within=180, what="the notifications are relied on")


# ---- push alone: nothing is ever inspected


@pytest.fixture(scope="module")
def pushed(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation that inspects once an hour."""
    seldom = {f"COLOBUS_INSPECT_{which}_SECONDS": NEVER for which in ("FAST", "SLOW", "PUSHED")}
    seldom |= {"COLOBUS_CENSUS_SECONDS": NEVER}
    folder = tmp_path_factory.mktemp("pushed")
    with _installed(environment, folder, scheduler=seldom) as made:
        yield made


async def _operate(client: Client, vm: str, verb: Verb) -> None:
    ask: dict[Verb, Callable[[str], Awaitable[Resource]]] = {
        Verb.REBOOT: client.reboot,
        Verb.STOP: client.stop,
        Verb.START: client.start,
    }
    await ask[verb](vm)

    async def done() -> bool:
        operations = (await client.get(vm)).status.operations
        return bool(operations) and operations[-1].verb is verb and bool(operations[-1].finished_at)

    await eventually(done, within=120, what=f"{verb} has ended")
    assert (await client.get(vm)).status.operations[-1].state is OperationState.DONE


async def test_push_alone_carries_a_vm_through_its_life(
    pushed: Installation, environment: dict[str, str]
) -> None:
    """Made with a floating IP, rebooted, stopped, started, deleted: no inspection ended any of it.

    Active is proven as ever: server and port are up, the floating IP is on it.
    """
    async with _bigtop(pushed) as client:
        async with _vm(client, CreateVm(image="debian-12", flavor="small", floating_ip=True)) as vm:
            active = await client.wait(vm.id, timeout=180)
            held = Cloud(environment, pushed.name).holds(vm.id)
            (server,), (port,), (ip,) = held.servers, held.ports, held.floating_ips
            assert (server["status"], port.status, ip.port_id) == ("ACTIVE", "ACTIVE", port.id)
            assert active.status.outputs["addresses"] == [port.fixed_ips[0]["ip_address"]]
            for verb, power in (
                (Verb.REBOOT, "running"),
                (Verb.STOP, "stopped"),
                (Verb.START, "running"),
            ):
                await _operate(client, vm.id, verb)
                assert (await client.get(vm.id)).status.outputs["power_state"] == power
        assert Cloud(environment, pushed.name).holds(vm.id).counts == NOTHING
    assert await _ended(pushed, "inspected") == 0
    assert await _ended(pushed, "notified") >= 5
    assert await _trusted(pushed)


async def test_push_alone_tells_why_a_build_failed(
    pushed: Installation, environment: dict[str, str]
) -> None:
    """The cloud's own words, and nothing is left behind.

    Both at once: that of a server which was never seen made nothing is left, is known from an
    inspection, or, as here, when its removal is ordered once more after two minutes.
    """
    async with _bigtop(pushed) as client:
        told = dict(
            await asyncio.gather(
                _failed(client, "broken"),
                _failed(client, "huge"),
            )
        )
    broken, huge = told["broken"].status.error, told["huge"].status.error
    assert broken is not None
    assert huge is not None
    assert (broken.reason, huge.reason) == (Reason.BUILD_FAILED, Reason.NO_VALID_HOST)
    assert "simulated spawn failure" in (broken.detail or "")
    assert "No valid host was found" in (huge.detail or "")
    cloud = Cloud(environment, pushed.name)
    assert [cloud.holds(one.id).counts for one in told.values()] == [NOTHING, NOTHING]
    assert await _ended(pushed, "inspected") == 0


async def _failed(client: Client, flavor: str) -> tuple[str, Resource]:
    vm = await client.create_vm(CreateVm(image="debian-12", flavor=flavor))
    with pytest.raises(ResourceEnded) as failed:
        await client.wait(vm.id, timeout=180)
    return flavor, failed.value.resource


async def test_push_alone_tells_of_a_server_removed_behind_our_back(
    pushed: Installation, environment: dict[str, str]
) -> None:
    """The VM fails as removed externally, and what else it held is released."""
    cloud = Cloud(environment, pushed.name)
    async with _bigtop(pushed) as client:
        vm = await client.create_vm(SMALL)
        active = await client.wait(vm.id, timeout=180)
        cloud.admin.compute.delete_server(active.status.outputs["server_id"])
        failed = await client.wait(vm.id, Phase.FAILED, timeout=180)
    assert failed.status.reason == Reason.REMOVED_EXTERNALLY
    assert cloud.holds(vm.id).counts == NOTHING


async def test_a_vm_costs_four_calls(pushed: Installation) -> None:
    """Port and server made and removed, each once; that they are up and gone is told.

    Only where Nova tells of a server before Neutron does of its port is that one asked about.
    """

    async def calls() -> Counter[str]:
        name = "colobus_vm_worker_api_calls_total"
        methods = ("POST", "PUT", "PATCH", "DELETE", "GET")
        return Counter({m: int(await total(pushed, "vm_worker", name, method=m)) for m in methods})

    async with _bigtop(pushed) as client:
        await _work(client)  # the network and the names are known then
        before = await calls()
        await asyncio.gather(*(_work(client) for _ in range(VMS)))
        made = await calls() - before
    looks = made.pop("GET", 0)
    assert made == {"POST": 2 * VMS, "DELETE": 2 * VMS}
    assert looks <= VMS, f"asked {looks} times"


async def test_another_replica_takes_over_the_notifications(pushed: Installation) -> None:
    """The one that consumes is killed while a build is waited for; nothing is told twice."""
    async with _bigtop(pushed) as client:
        pushed.start("vm_worker.2")
        async with _vm(client, CreateVm(image="debian-12", flavor="slow")) as vm:

            async def building() -> bool:
                return "server_id" in (await client.get(vm.id)).status.outputs

            await eventually(building, within=120, what="the server is being built")
            pushed.kill("vm_worker")
            await client.wait(vm.id, timeout=180)
        taken = "colobus_vm_worker_notifications_total"
        assert await total(pushed, "vm_worker.2", taken, outcome="taken") > 0
        pushed.start("vm_worker")
        before = await total(pushed, "vm_worker", taken)
        await _work(client)
        assert await total(pushed, "vm_worker", taken) == before
        pushed.stop("vm_worker.2")
    assert await _ended(pushed, "inspected") == 0


# ---- inspections alone


@pytest.fixture(scope="module")
def inspected(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation that isn't given the cloud's broker."""
    folder = tmp_path_factory.mktemp("inspected")
    without = {"COLOBUS_NOTIFICATIONS_URLS": ""}
    with _installed(environment, folder, worker=without) as made:
        yield made


async def test_inspections_alone_do_it_too(inspected: Installation) -> None:
    """Nothing is relied on that isn't there."""
    async with _bigtop(inspected) as client, _vm(client) as vm:
        await client.wait(vm.id, timeout=180)
        await _operate(client, vm.id, Verb.REBOOT)
    assert await _ended(inspected, "notified") == 0
    assert await _ended(inspected, "inspected") >= 3
    assert not await _trusted(inspected)


async def test_other_installations_notifications_are_not_taken(
    pushed: Installation, inspected: Installation
) -> None:
    """They share the cloud, its broker, and even the tenant's project."""
    taken = "colobus_vm_worker_notifications_total"
    before = await total(pushed, "vm_worker", taken, outcome="taken")
    others = await total(pushed, "vm_worker", taken, outcome="other")
    async with _bigtop(inspected) as client:
        await _work(client)

    async def passed_by() -> bool:
        return await total(pushed, "vm_worker", taken, outcome="other") >= others + 10

    await eventually(passed_by, what="the others' notifications have come by")
    assert await total(pushed, "vm_worker", taken, outcome="taken") == before


# ---- the switch between them


@pytest.fixture
async def wire(environment: dict[str, str]) -> AsyncIterator[Proxy]:
    """The cable between the worker and the cloud's broker."""
    async with Proxy.to(environment["DEVCLOUD_NOTIFICATIONS_AMQP_URL"]) as proxy:
        yield proxy


@pytest.fixture
def wired(environment: dict[str, str], tmp_path: Path, wire: Proxy) -> Iterator[Installation]:
    """An installation whose worker hears the cloud through the cable, and relies on it alone."""
    url = {"COLOBUS_NOTIFICATIONS_URLS": f"{CLOUD}={wire.url}"}
    alone = {"COLOBUS_INSPECT_PUSHED_SECONDS": NEVER}
    with _installed(environment, tmp_path, worker=url, scheduler=alone) as made:
        yield made


async def test_when_the_connection_is_lost_inspections_take_over_and_back(
    wired: Installation, wire: Proxy
) -> None:
    """In mid-build; the worker stays ready all the while."""
    async with _bigtop(wired) as client:
        await _until_trusted(wired, client)
        async with _vm(client, CreateVm(image="debian-12", flavor="slow")) as vm:

            async def building() -> bool:
                return "server_id" in (await client.get(vm.id)).status.outputs

            await eventually(building, within=120, what="the server is being built")
            await wire.refuse()
            await wire.cut()
            await client.wait(vm.id, timeout=180)
            assert not await _trusted(wired)
            wired.wait_ready("vm_worker")
        await _work(client)
        await wire.accept()
        await _until_trusted(wired, client)


@pytest.fixture
def relying(environment: dict[str, str], tmp_path: Path) -> Iterator[Installation]:
    """An installation that inspects every two seconds where notifications are relied on."""
    often = {"COLOBUS_INSPECT_PUSHED_SECONDS": "2"}
    with _installed(environment, tmp_path, scheduler=often) as made:
        yield made


async def test_when_the_cloud_falls_silent_inspections_take_over_and_back(
    relying: Installation, environment: dict[str, str]
) -> None:
    """The connection lives, but nothing comes: the first wait that an inspection ends shows it."""
    async with _bigtop(relying) as client:
        await _until_trusted(relying, client)

        async def distrusted() -> bool:
            _unbind(environment, relying)  # the worker binds it anew every now and then
            await _work(client)
            return not await _trusted(relying)

        await eventually(distrusted, within=240, what="the silence is noticed")
        assert await _ended(relying, "inspected") > 0
        await _until_trusted(relying, client)


def _unbind(environment: dict[str, str], colobus: Installation) -> None:
    """Take the queue's bindings away, as the administrator of the cloud's broker could."""
    url = pika.URLParameters(environment["DEVCLOUD_NOTIFICATIONS_AMQP_URL"])
    connection = pika.BlockingConnection(url)
    channel = connection.channel()
    for binding in BINDINGS:
        queue = f"colobus.{colobus.name}.vm_worker.{CLOUD}"
        channel.queue_unbind(queue, binding.exchange, binding.key)
    connection.close()


@pytest.mark.timeout(600)
async def test_the_end_of_what_no_host_has_yet_is_seen_although_nova_tells_nothing_of_it(
    colobus: Installation, cloud: Cloud
) -> None:
    """Created and deleted while Nova's conductor is away: gone at once, and trust isn't lost."""
    async with _bigtop(colobus) as client:
        await _until_trusted(colobus, client)
        await asyncio.to_thread(cloud.supervisor.stop, "nova-conductor")
        try:
            vm = await client.create_vm(SMALL)

            async def accepted() -> bool:
                return "server_id" in (await client.get(vm.id)).status.outputs

            await eventually(accepted, within=120, what="Nova has accepted the server")
            await client.delete(vm.id)
            await client.wait(vm.id, Phase.DELETED, timeout=120)
            assert cloud.holds(vm.id).counts == NOTHING
        finally:
            await asyncio.to_thread(cloud.supervisor.start, "nova-conductor")
        assert await _trusted(colobus)
