"""Ceph stopped, hanging, and back again: in a cloud of these tests' own, since they stop it."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import psutil
import pytest

from devcloud.api import Supervisor
from devcloud.environment import cloud_environment
from services.iscsi_worker.queries import get_storage_catalog
from shared.contract.messages import (
    GetStorageCatalog,
    InspectStorage,
    Message,
    StorageInspectionFailed,
    StorageObserved,
    StoredThing,
)
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.command import Answer
from tests.integration.iscsi_worker.machines import Machine
from tests.integration.iscsi_worker.phones import URL_OF_WORKER, door, number_of, phoning
from tests.integration.iscsi_worker.world import (
    STORE,
    TENANT,
    Attachment,
    Replica,
    Volume,
    World,
    make_world,
    only,
)
from tests.support.conditions import eventually
from tests.support.devcloud import own_cloud

_DAEMONS = ("ceph-osd", "ceph-mon")


@pytest.fixture(scope="module")
def cloud(ceph: dict[str, str]) -> Iterator[Supervisor]:
    """A Ceph of this module's own."""
    del ceph  # what is installed for it is used
    with own_cloud("iscsi-worker") as made:
        made.up(["ceph"])
        yield made


@pytest.fixture(scope="module")
def world(cloud: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A store on it."""
    with make_world(cloud_environment(cloud.site), tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
async def replica(world: World) -> AsyncIterator[Replica]:
    """One worker process, impatient."""
    async with world.replica(ceph_seconds=2, gateway_seconds=4) as made:
        yield made


async def _looked_at(replica: Replica, attachment: Attachment) -> list[Answer]:
    thing = StoredThing(
        resource_id=attachment.id,
        tenant=TENANT,
        volume=attachment.volume.id,
        initiator_iqn=attachment.initiator,
    )
    return await replica.do("inspection", InspectStorage(store=STORE, things=(thing,)))


async def _fails_for_now(replica: Replica, attachment: Attachment) -> float:
    """Everything that needs Ceph fails retryably; return how long the slowest took."""
    orders = (
        lambda: replica.volume(),
        attachment.volume.deprovision,
        attachment.volume.snapshot,
        attachment.attach,
        attachment.detach,
    )
    slowest = 0.0
    for order in orders:
        started = time.monotonic()
        with pytest.raises(TemporaryError) as failed:
            await order()
        slowest = max(slowest, time.monotonic() - started)
        assert failed.value.reason == Reason.BACKEND_UNAVAILABLE, failed.value.detail
    return slowest


async def _done(order: Callable[[], Awaitable[object]]) -> bool:
    try:
        await order()
    except TemporaryError:
        return False
    return True


async def _works(replica: Replica) -> bool:
    return await _done(lambda: _make_and_drop(replica))


async def _make_and_drop(replica: Replica) -> None:
    await (await replica.volume()).deprovision()


@pytest.mark.parametrize("stopped", [*[[name] for name in _DAEMONS], list(_DAEMONS)])
async def test_while_ceph_is_down_commands_fail_for_now(
    replica: Replica, cloud: Supervisor, stopped: list[str]
) -> None:
    """Retryable, within a bound; when it is back, the same process goes on."""
    attachment = await replica.attached(await replica.volume())
    for name in stopped:
        cloud.kill(name)
    try:
        if "ceph-osd" in stopped:
            assert await _fails_for_now(replica, attachment) < 15
            told = await _looked_at(replica, attachment)
            assert only(told, StorageInspectionFailed).problem.retryable
            catalog = await get_storage_catalog(TENANT, GetStorageCatalog(), replica.context)
            assert catalog.problems
    finally:
        cloud.up(["ceph"])
    await eventually(lambda: _works(replica), what="the worker goes on")

    async def is_offered() -> bool:
        told = only(await _looked_at(replica, attachment), Message)
        return isinstance(told, StorageObserved) and told.offered

    # tgtd has connections of its own to Ceph, which may be back later than the worker's.
    await eventually(is_offered, what="it is offered")
    await eventually(lambda: _done(attachment.detach), what="tgtd goes on")
    await eventually(lambda: _done(attachment.volume.deprovision), what="the volume is deleted")


async def test_a_worker_that_starts_while_ceph_is_down_goes_on_later(
    world: World, cloud: Supervisor
) -> None:
    """It connects when it can; those who wait for the same attempt share its failure."""
    for name in _DAEMONS:
        cloud.kill(name)
    try:
        async with world.replica(ceph_seconds=2) as replica:
            started = time.monotonic()
            with pytest.raises(TemporaryError) as failed:
                await replica.volume()
            assert failed.value.reason == Reason.BACKEND_UNAVAILABLE
            assert time.monotonic() - started < 10
            cloud.up(["ceph"])
            await eventually(lambda: _works(replica), what="the worker goes on")
    finally:
        cloud.up(["ceph"])


async def test_a_system_that_phones_home_meanwhile_is_to_call_again(
    world: World, cloud: Supervisor
) -> None:
    """And is heard then."""
    async with world.replica(ceph_seconds=2, phone_home_url=URL_OF_WORKER) as replica:
        machine = Machine(replica)
        await machine.root(phoning(world))
        await machine.config()
        number = number_of(world, machine)
        async with door(replica) as phone:
            for name in _DAEMONS:
                cloud.kill(name)
            try:
                assert (await phone.post(number)).status == 503
            finally:
                cloud.up(["ceph"])

            async def is_heard() -> bool:
                return (await phone.post(number)).status == 204

            await eventually(is_heard, what="the call is heard")
        assert (await machine.look()).phoned_home
        await machine.drop_config()
        await machine.drop_root()


async def test_a_ceph_that_hangs_costs_a_bounded_time(replica: Replica, cloud: Supervisor) -> None:
    """Its processes are there, and silent."""
    volume = await replica.volume()
    pid = cloud.site.processes.pid("ceph-osd")
    assert pid is not None
    psutil.Process(pid).send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(TemporaryError) as failed:
            await Volume(replica).provision(size_gib=1)
        assert failed.value.reason == Reason.BACKEND_UNAVAILABLE
        assert time.monotonic() - started < 10
    finally:
        psutil.Process(pid).send_signal(signal.SIGCONT)
    await eventually(lambda: _works(replica), what="the worker goes on")
    assert await volume.provision(size_gib=1)
