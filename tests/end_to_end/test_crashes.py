"""kill -9 of each part in mid-creation: nothing lost, nothing twice, nothing left, all told."""

from __future__ import annotations

import asyncio

import pytest

from colobus.client import Client
from colobus.models import CreateVm, Phase
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually
from tests.support.installation import SERVICES, Installation
from tests.support.webhooks import Receiver

#: Four services may be stopped and started, and the VMs made, deleted and told of: one by one.
pytestmark = pytest.mark.timeout(1800)
#: So many VMs are under way when the part dies.
COUNT = 4


async def _create(client: Client, receiver: Receiver) -> list[str]:
    """Ask for several VMs, and return as soon as the first of them holds something."""
    request = CreateVm(
        image="debian-12", flavor="small", floating_ip=True, callback_url=receiver.url()
    )
    vms = await asyncio.gather(*(client.create_vm(request) for _ in range(COUNT)))

    async def begun() -> bool:
        seen = [await client.get(vm.id) for vm in vms]
        return any("mac_address" in vm.status.outputs for vm in seen)

    await eventually(begun, what="the first has its port")
    return [vm.id for vm in vms]


async def _check(client: Client, cloud: Cloud, receiver: Receiver, vms: list[str]) -> None:
    """All active, exactly one of everything each, every subscriber told; then all gone again."""
    await asyncio.gather(*(client.wait(vm, timeout=280) for vm in vms))
    assert [cloud.holds(vm).counts for vm in vms] == [(1, 1, 1)] * len(vms)

    def told(phase: str) -> set[str]:
        return {one.event["subject"] for one in receiver.at() if one.phase == phase}

    await receiver.until(lambda: told("active") >= set(vms), seconds=60)
    for vm in vms:
        await client.delete(vm)
    await asyncio.gather(*(client.wait(vm, Phase.DELETED, timeout=280) for vm in vms))
    assert [cloud.holds(vm).counts for vm in vms] == [NOTHING] * len(vms)
    await receiver.until(lambda: told("deleted") >= set(vms), seconds=60)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_killed_service_loses_and_doubles_nothing(
    colobus: Installation, cloud: Cloud, bigtop: Client, receiver: Receiver, service: str
) -> None:
    """The service dies in the middle of several creations and is started again."""
    vms = await _create(bigtop, receiver)
    colobus.kill(service)
    colobus.start(service)
    await _check(bigtop, cloud, receiver, vms)


@pytest.mark.parametrize("component", ["rabbitmq", "postgresql"])
async def test_a_killed_broker_or_database_loses_and_doubles_nothing(
    colobus: Installation, cloud: Cloud, bigtop: Client, receiver: Receiver, component: str
) -> None:
    """No service is restarted by hand: each finds its way back."""
    vms = await _create(bigtop, receiver)
    await asyncio.to_thread(cloud.restart, component)
    await _check(bigtop, cloud, receiver, vms)
    assert all(process.poll() is None for process in colobus.processes.values())


async def test_a_rolling_restart_loses_nothing(
    colobus: Installation, cloud: Cloud, bigtop: Client, receiver: Receiver
) -> None:
    """SIGTERM to each in turn: it drains, ends well, and the next one takes over."""
    vms = await _create(bigtop, receiver)
    for service in SERVICES:
        await asyncio.to_thread(colobus.stop, service)
        colobus.start(service)
    await _check(bigtop, cloud, receiver, vms)
