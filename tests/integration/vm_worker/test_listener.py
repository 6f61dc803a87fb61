"""From recorded notifications to events on the bus: what is said of whom, and what isn't."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import yaml

from services.vm_worker.backend import Backend
from services.vm_worker.context import Context
from services.vm_worker.listener import Listener
from services.vm_worker.listening import Reception
from services.vm_worker.metrics import NOTIFICATIONS
from services.vm_worker.provisioner.default_network import DefaultNetworks, Plan
from services.vm_worker.provisioner.kit import Kit
from shared.bus import Bus
from shared.contract.codec import Envelope, decode
from shared.contract.messages import CloudNotificationsChanged, Message, VmObserved
from shared.runtime.secrets import SealingKey
from shared.runtime.tenants import load_tenants
from tests.support.broker import VirtualHost
from tests.support.bus import Broker, bus_at, until
from tests.unit.vm_worker.test_notifications import MARKS, PROJECT, SERVER, VM, body

CLOUD, QUEUE = "cloud", "scheduler.events"
#: A VM's life as it was recorded.
LIFE = (
    "port.create.end",
    "floatingip.create.end",
    "instance.create.start",
    "instance.update.spawning",
    "port.update.end.up",
    "instance.update.active",
    "instance.create.end",
    "instance.reboot.end",
    "port.update.end.down",
    "instance.delete.end",
    "port.delete.end",
)


@pytest.fixture
async def broker(vhost: VirtualHost) -> AsyncIterator[Broker]:
    """The broker with all that the admin step declares."""
    async with Broker.of(vhost) as made:
        yield made


@pytest.fixture
async def bus(broker: Broker) -> AsyncIterator[Bus]:
    """The worker's bus."""
    async with bus_at(broker.url, name="vm_worker") as made:
        yield made


def listener(
    bus: Bus,
    folder: Path,
    project: str = PROJECT,
    cloud: str = CLOUD,
    backend: Backend | None = None,
) -> Listener:
    """A listener to `CLOUD` whose tenant has this project on that cloud; None: it asks nothing."""
    file = folder / "tenants.yaml"
    file.write_text(yaml.safe_dump({"tenants": {"bigtop": {"projects": {cloud: project}}}}))
    kit = Kit(MARKS, SealingKey.generate(), DefaultNetworks(Plan("10.0.0.0/24"), MARKS))
    return Listener(CLOUD, Context(cast(Backend, backend), load_tenants(file), kit), bus)


async def published(broker: Broker) -> list[tuple[Envelope, Message]]:
    """All that was said."""
    waiting = await broker.depth(QUEUE)
    return [decode(one.body) for one in await broker.take_all(QUEUE)] if waiting else []


async def test_a_vms_life_is_told_by_three_observations(
    bus: Bus, broker: Broker, tmp_path: Path
) -> None:
    """Up, with its port and floating IP; up again after the reboot; gone. Nothing was asked."""
    listening = listener(bus, tmp_path)
    for name in LIFE:
        await listening.take([body(name)])
    told = await published(broker)
    seen = [message for _, message in told if isinstance(message, VmObserved)]
    assert [(one.server_status, one.port_status, one.gone) for one in seen] == [
        ("ACTIVE", "ACTIVE", False),
        ("ACTIVE", "ACTIVE", False),
        (None, None, True),
    ]
    assert all(one.notified and one.server_id == SERVER for one in seen)
    assert seen[0].floating_ip_address == "203.0.113.12"
    assert all((one.subject, one.tenant) == (VM, "bigtop") for one, _ in told)


async def test_the_same_notification_makes_the_same_event(
    bus: Bus, broker: Broker, tmp_path: Path
) -> None:
    """However often it is delivered, and to whichever replica."""
    for _ in range(2):
        await listener(bus, tmp_path).take(
            [body("port.update.end.up"), body("instance.create.end")]
        )
    (first, _), (second, _) = await published(broker)
    assert first.id == second.id


@pytest.mark.parametrize(
    ("project", "cloud"), [("another-project", CLOUD), (PROJECT, "another-cloud")]
)
async def test_our_marks_in_a_strangers_project_are_forged(
    bus: Bus, broker: Broker, tmp_path: Path, project: str, cloud: str
) -> None:
    """Anybody can write them; whose project it is, the cloud says."""
    before = NOTIFICATIONS.labels(CLOUD, "taken")._value.get()
    await listener(bus, tmp_path, project, cloud).take([body(name) for name in LIFE])
    assert await published(broker) == []
    assert NOTIFICATIONS.labels(CLOUD, "taken")._value.get() == before


async def test_garbage_is_counted_and_what_comes_with_it_is_told(
    bus: Bus, broker: Broker, tmp_path: Path
) -> None:
    """One bad notification costs nothing but itself."""
    before = NOTIFICATIONS.labels(CLOUD, "unreadable")._value.get()
    garbage = b"devcloud-21000 says nothing"
    await listener(bus, tmp_path).take([garbage, body("instance.delete.end")])
    assert NOTIFICATIONS.labels(CLOUD, "unreadable")._value.get() == before + 1
    assert len(await published(broker)) == 1


@asynccontextmanager
async def _running(reception: Reception) -> AsyncIterator[None]:
    task = asyncio.create_task(reception.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_the_scheduler_is_told_whether_anything_can_arrive(bus: Bus, broker: Broker) -> None:
    """Every change of the subscription."""
    reception = Reception(CLOUD, bus)
    async with _running(reception):
        for receiving in (True, False, True):
            reception.changed(receiving)
            await until(lambda: broker.depth(QUEUE))
            ((_, message),) = await published(broker)
            assert isinstance(message, CloudNotificationsChanged)
            assert (message.cloud, message.receiving) == (CLOUD, receiving)


async def test_a_replica_that_receives_nothing_says_so_at_the_start(
    bus: Bus, broker: Broker
) -> None:
    """One before it may have received; the scheduler would still rely on that."""
    async with _running(Reception(CLOUD, bus, patience=0.1)):
        await until(lambda: broker.depth(QUEUE))
        ((_, message),) = await published(broker)
        assert isinstance(message, CloudNotificationsChanged)
        assert not message.receiving
