"""Volumes that grow, on the real Ceph and tgtd: what is in them stays; who sees the new size."""

from __future__ import annotations

import asyncio

import pytest

from services.iscsi_worker.backend import Store
from shared.contract.identifiers import new_id
from shared.contract.messages import GrowVolume, VolumeGrown
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import TemporaryError
from shared.worker.errors import NotFound
from tests.integration.iscsi_worker.initiators import logged_in
from tests.integration.iscsi_worker.world import GIB, STORE, Replica, Volume, World, only

_BLOCK = 4096


async def grow(replica: Replica, volume: Volume, size_gib: int) -> int:
    """Make it larger; return its size in bytes."""
    message = GrowVolume(store=STORE, operation_id="op-1", size_gib=size_gib)
    told = only(await replica.do(volume.id, message), VolumeGrown)
    assert told.operation_id == "op-1"
    return told.size_bytes


def store_of(replica: Replica) -> Store:
    return replica.context.stores.store(STORE, Deadline.after(60))


async def test_a_volume_grows_and_keeps_what_is_in_it(replica: Replica, world: World) -> None:
    """Again is fine, and so is a late order to be smaller: it cuts nothing off."""
    volume = await replica.volume()
    world.write(volume.image, b"o" * _BLOCK)
    assert await grow(replica, volume, 3) == 3 * GIB
    world.write(volume.image, b"n" * _BLOCK, at=3 * GIB - _BLOCK)
    assert await grow(replica, volume, 3) == 3 * GIB
    assert await grow(replica, volume, 2) == 3 * GIB
    assert world.content(volume.image, _BLOCK) == b"o" * _BLOCK
    assert world.content(volume.image, _BLOCK, at=3 * GIB - _BLOCK) == b"n" * _BLOCK


async def test_workers_that_grow_one_volume_at_once_leave_the_largest(world: World) -> None:
    """None of them makes it smaller than another has made it."""
    async with world.replica() as one, world.replica() as other:
        volume = await one.volume()

        async def wanted(replica: Replica, size_gib: int) -> None:
            while True:
                try:
                    await grow(replica, volume, size_gib)
                except TemporaryError:  # another is at it
                    await asyncio.sleep(0.05)
                else:
                    return

        await asyncio.gather(*(wanted(one, n) for n in (2, 5)), *(wanted(other, n) for n in (4, 3)))
        assert (await one.look(volume.id, volume.id)).size_bytes == 5 * GIB


async def test_what_is_not_there_does_not_grow(replica: Replica, world: World) -> None:
    """And isn't made by it."""
    with pytest.raises(NotFound) as missing:
        await grow(replica, Volume(replica, new_id("volume")), 2)
    assert missing.value.reason == Reason.VOLUME_NOT_FOUND
    assert "has no volume" in missing.value.detail


async def test_a_copy_grows_beyond_its_original(replica: Replica, world: World) -> None:
    """Its parent's data is still there."""
    image = world.make_golden(1 << 26, b"g" * _BLOCK)
    volume = await replica.volume(image=image)
    assert await grow(replica, volume, 1) == GIB
    assert world.content(volume.image, _BLOCK) == b"g" * _BLOCK


async def test_the_initiator_sees_the_new_size_when_it_next_logs_in(
    replica: Replica, world: World
) -> None:
    """And can write beyond the old end, with the secret that it has."""
    volume = await replica.volume()
    attachment = await replica.attached(volume)
    login = await attachment.login()
    await asyncio.to_thread(login.write, b"o" * _BLOCK)
    assert await asyncio.to_thread(login.size) == GIB
    await grow(replica, volume, 2)
    assert not (await attachment.look()).outdated
    assert await asyncio.to_thread(login.size) == 2 * GIB
    await asyncio.to_thread(login.write, b"n" * _BLOCK, at=2 * GIB - _BLOCK)
    assert await asyncio.to_thread(login.reads, b"o" * _BLOCK)
    assert world.content(volume.image, _BLOCK, at=2 * GIB - _BLOCK) == b"n" * _BLOCK


async def test_who_is_logged_in_keeps_the_lun_as_it_is(replica: Replica, world: World) -> None:
    """It works on at the old size; when it has logged out, mending shows the new one."""
    volume = await replica.volume()
    attachment = await replica.attached(volume)
    login = await attachment.login()
    with logged_in(login) as session:
        assert await grow(replica, volume, 2) == 2 * GIB
        await attachment.attach()
        seen = await attachment.look()
        assert (seen.outdated, seen.offered, len(seen.initiators)) == (True, True, 1)
        assert session.write(2, at=GIB - _BLOCK)
        assert await asyncio.to_thread(login.size) == GIB
        await asyncio.to_thread(session.log_out)
    await attachment.attach()
    seen = await attachment.look()
    assert (seen.outdated, seen.offered) == (False, True)
    assert await asyncio.to_thread(login.size) == 2 * GIB


async def test_who_comes_just_when_the_lun_is_to_be_made_anew_is_left_alone(
    replica: Replica,
) -> None:
    """He has the old size, is not cut off, and can log in again."""
    volume = await replica.volume()
    attachment = await replica.attached(volume)
    login = await attachment.login()
    gateway = type(store_of(replica).gateway)
    real = gateway.remove
    with logged_in(login) as session:
        await asyncio.to_thread(session.log_out)
    with pytest.MonkeyPatch.context() as patched:
        held = []

        async def remove(self: object, *arguments: object) -> None:
            holder = logged_in(login)
            held.append((holder, await asyncio.to_thread(holder.__enter__)))
            await real(self, *arguments)  # type: ignore[arg-type]

        patched.setattr(gateway, "remove", remove)
        await grow(replica, volume, 2)
    ((holder, session),) = held
    assert session.write(3)
    assert (await attachment.look()).offered
    assert await asyncio.to_thread(login.size) == GIB
    await asyncio.to_thread(session.log_out)
    await asyncio.to_thread(holder.__exit__, None, None, None)
    await attachment.attach()
    assert await asyncio.to_thread(login.size) == 2 * GIB
