"""ceph-iscsi stopped, hanging, and away where another speaks for it."""

from __future__ import annotations

import time

import pytest

from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from tests.gateway.world import GATEWAY, World
from tests.integration.iscsi_worker.world import Replica


async def test_what_it_offered_is_offered_again_after_its_start(
    replica: Replica, world: World
) -> None:
    """While it is away orders fail for now, and volumes are made all the same."""
    attachment = await replica.attached(await replica.volume())
    login = await attachment.login()
    login.write(b"k" * 4096)
    world.cloud.kill(GATEWAY)
    try:
        for order in (attachment.attach, attachment.detach, attachment.volume.deprovision):
            with pytest.raises(TemporaryError, match="No gateway of store") as failed:
                await order()
            assert failed.value.reason == Reason.BACKEND_UNAVAILABLE
        await (await replica.volume()).snapshot()
    finally:
        world.cloud.start(GATEWAY)
    assert (await attachment.look()).offered
    await attachment.attach()
    assert login.reads(b"k" * 4096)
    await attachment.detach()
    await attachment.volume.deprovision()


async def test_one_that_hangs_costs_a_bounded_time(world: World) -> None:
    """The command fails for now; when it goes on, so does the command."""
    async with world.replica(gateway_seconds=2) as replica:
        volume = await replica.volume()
        world.cloud.pause(GATEWAY)
        try:
            started = time.monotonic()
            with pytest.raises(TemporaryError) as failed:
                await replica.attached(volume)
            assert time.monotonic() - started < 40  # and not as long as the pause
            assert failed.value.reason == Reason.BACKEND_UNAVAILABLE
        finally:
            world.cloud.resume(GATEWAY)
    async with world.replica() as replica:
        attachment = await replica.attached(await replica.volume())
        await attachment.detach()


async def test_another_url_is_asked_where_the_first_is_away(world: World) -> None:
    """For every call of a life."""
    world.urls = ["http://127.0.0.1:1", world.url]
    try:
        async with world.replica() as replica:
            attachment = await replica.attached(await replica.volume())
            assert (await attachment.login()).refusal() == ""
            await attachment.detach()
    finally:
        world.urls = []
    assert (world.targets(), world.disks()) == ([], [])
