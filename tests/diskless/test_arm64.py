"""A machine of the architecture that the cloud is for, emulated: UEFI, iPXE, iSCSI, Linux."""

from __future__ import annotations

import asyncio
import time

import pytest

from colobus.client import Client
from colobus.models import CreateMachine, Phase, Reason
from devcloud.images import TinyImage
from devcloud.machines import ARM64
from tests.diskless.box import LOG, gone
from tests.diskless.guest import ANSWERS_WITHIN
from tests.integration.iscsi_worker.world import World
from tests.support import devcloud
from tests.support.bare_metal import Console, Metal
from tests.support.cloud import Cloud
from tests.support.machines import Systems, fails, leaves_nothing, machine_of, words
from tests.support.metal_house import offer
from tests.support.waiting import waited


@pytest.fixture(scope="module")
def arm64(metal: Metal) -> Metal:
    """The metal with one such machine."""
    devcloud.up("bare-metal-arm64")
    return metal


@pytest.fixture(scope="module")
def tiny(arm64: Metal, world: World) -> str:
    """A golden image for it, of Debian's own packages."""
    return offer(TinyImage(arm64.site, ARM64.arch), world)


async def test_a_machine_for_arm64_boots_from_its_disk(
    client: Client, arm64: Metal, world: World, network: Cloud, tiny: str
) -> None:
    """From POST, by its architecture, to the first lines of its own system, and back."""
    console = Console(arm64.site, ARM64)
    request = CreateMachine(image=tiny, flavor=ARM64.resource_class, arch=ARM64.arch)
    started = time.monotonic()
    made = await client.create(request)
    machine = await waited(client, made.id, timeout=ANSWERS_WITHIN)
    LOG.info("POST to active, arm64: %.1f s", time.monotonic() - started)
    assert machine_of(machine) == ARM64
    assert "tiny" in Systems(world).of(machine)  # the firmware's login may linger beside it
    said = await asyncio.to_thread(console.until, "] ready", ANSWERS_WITHIN)
    LOG.info("POST to its system being up, arm64: %.1f s", time.monotonic() - started)
    steps = [
        "aarch64 started",
        f"{machine.id} at ",  # the target that the firmware's table names
        "iSCSI login done",
        "boot number 1 of this disk",
        f"config volume: instance-id: {machine.id}",
    ]
    assert [step for step in steps if step not in said] == []
    await gone(client, machine.id)
    await leaves_nothing(arm64, world, network, ARM64.name)


async def test_an_architecture_that_a_class_has_not_is_told(
    client: Client, arm64: Metal, tiny: str
) -> None:
    """The class alone would fit: it is the node's own trait that does not."""
    request = CreateMachine(image=tiny, flavor=ARM64.resource_class, arch="x86_64")
    failed = await fails(client, request)
    assert failed.status.phase == Phase.FAILED
    assert failed.status.reason == Reason.NO_VALID_HOST
    assert "HW_ARCH_X86_64" in words(failed)
