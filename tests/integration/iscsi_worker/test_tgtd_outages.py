"""tgtd killed, hanging, or not ours to command."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import pytest

from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from tests.integration.iscsi_worker.initiators import logged_in
from tests.integration.iscsi_worker.world import Replica, Volume, World
from tests.support.conditions import eventually


async def test_a_tgtd_that_was_killed_is_told_all_again(replica: Replica, world: World) -> None:
    """It has forgotten everything; the same order as before makes the same target."""
    volume = await replica.volume()
    attachment = await replica.attached(volume)
    login = await attachment.login()
    login.write(b"k" * 4096)
    world.tgtd.kill()
    world.tgtd.start()
    assert (await attachment.look()).offered is False
    await attachment.attach()
    assert (await attachment.look()).offered
    assert login.reads(b"k" * 4096)


async def test_an_initiator_outlives_its_target(replica: Replica, world: World) -> None:
    """It comes back by itself when the target is there again, and its writes arrive."""
    attachment = await replica.attached(await replica.volume())
    with logged_in(await attachment.login()) as held:
        world.tgtd.kill()
        world.tgtd.start()
        await attachment.attach()
        assert held.write(9)
    assert world.content(attachment.volume.image, 4096) == b"\x09" * 4096


async def test_while_tgtd_is_down_orders_fail_for_now(replica: Replica, world: World) -> None:
    """Retryable, and soon; volumes are made all the same."""
    attachment = await replica.attached(await replica.volume())
    world.tgtd.kill()
    try:
        for order in (attachment.attach, attachment.detach, attachment.volume.deprovision):
            with pytest.raises(TemporaryError) as failed:
                await order()
            assert failed.value.reason == Reason.BACKEND_UNAVAILABLE
        await replica.volume()
    finally:
        world.tgtd.start()
    await attachment.detach()


async def test_a_tgtd_that_hangs_costs_a_bounded_time(world: World) -> None:
    """Its orders are given up, the programs that gave them are ended, and then all goes on."""
    async with world.replica(gateway_seconds=1) as replica:
        volume = await replica.volume()
        world.tgtd.pause()
        try:
            started = time.monotonic()
            with pytest.raises(TemporaryError) as failed:
                await replica.attached(volume)
            assert time.monotonic() - started < 5
            assert failed.value.reason == Reason.BACKEND_UNAVAILABLE
        finally:
            world.tgtd.go_on()
        await replica.attached(volume)


async def test_a_volume_whose_gateway_died_can_be_deleted_soon(
    replica: Replica, world: World
) -> None:
    """The dead one is seen to hold it for some seconds, by its address."""
    volume = await replica.volume()
    await replica.attached(volume)
    world.tgtd.kill()
    world.tgtd.start()

    refusals: list[TemporaryError] = []

    async def deleted() -> bool:
        try:
            await volume.deprovision()
        except TemporaryError as error:
            refusals.append(error)
            return False
        return True

    await eventually(deleted, what="the volume is deleted")
    assert refusals
    assert all("it is open at 127.0.0.1" in one.detail for one in refusals)
    assert {one.reason for one in refusals} == {Reason.IN_USE}


async def test_a_tgtd_that_is_silent_is_not_taken_for_an_empty_one(
    replica: Replica, world: World
) -> None:
    """It closes the connection, where it is another user's: nothing was detached."""
    attachment = await replica.attached(await replica.volume())
    with tempfile.TemporaryDirectory() as folder:  # a socket's path has to be short
        path = Path(folder) / "tgt"
        silent = await asyncio.start_unix_server(
            lambda _, writer: writer.close(), f"{path}.{world.gateway['control_port']}"
        )
        stores = world.stores_file(socket=str(path))
        async with silent, world.replica(stores_file=stores) as other:
            theirs = type(attachment)(other, Volume(other, attachment.volume.id), id=attachment.id)
            with pytest.raises(TemporaryError, match="does it run as our user"):
                await theirs.detach()
    assert (await attachment.look()).offered
