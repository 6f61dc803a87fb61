"""Snapshots on the real Ceph, and the rule for those of which copies live."""

from __future__ import annotations

import asyncio

import pytest

from shared.contract.identifiers import new_id
from shared.contract.messages import RemoveSnapshot, SnapshotRemoved, SnapshotTaken, TakeSnapshot
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.errors import NotFound
from tests.integration.iscsi_worker.world import GIB, STORE, Replica, Volume, World, only


async def _remove(replica: Replica, snapshot: str, volume: Volume) -> None:
    message = RemoveSnapshot(store=STORE, volume=volume.id)
    only(await replica.do(snapshot, message), SnapshotRemoved)


def _in_trash(world: World, volume: Volume) -> int:
    with world.rbd.Image(world.pool, volume.image, read_only=True) as image:
        return len([one for one in image.list_snaps() if one["namespace"] == 2])


async def test_a_snapshot_is_taken_once(replica: Replica, world: World) -> None:
    """However often it is ordered, by however many."""
    volume, snapshot = await replica.volume(), new_id("snapshot")
    message = TakeSnapshot(store=STORE, volume=volume.id)
    async with world.replica() as other:
        told = await asyncio.gather(*(r.do(snapshot, message) for r in (replica, other) * 3))
    expected = SnapshotTaken(rbd_snapshot=f"{volume.image}@{snapshot}", size_bytes=GIB)
    assert all(only(answers, SnapshotTaken) == expected for answers in told)
    assert (await replica.look(snapshot, volume.id)).size_bytes == GIB


async def test_a_snapshot_of_nothing_is_refused(replica: Replica) -> None:
    """The volume is named."""
    with pytest.raises(NotFound) as refused:
        await Volume(replica).snapshot()
    assert refused.value.reason == Reason.VOLUME_NOT_FOUND


async def test_removing_twice_is_fine(replica: Replica) -> None:
    """And so it is when the volume is gone."""
    volume = await replica.volume()
    snapshot = await volume.snapshot()
    await _remove(replica, snapshot, volume)
    await _remove(replica, snapshot, volume)
    assert (await replica.look(snapshot, volume.id)).gone
    await volume.deprovision()
    await _remove(replica, snapshot, volume)


async def test_a_snapshot_with_copies_goes_with_the_last_of_them(
    replica: Replica, world: World
) -> None:
    """It is gone for its owner at once; the volume waits for the copies, and nothing is left."""
    volume = await replica.volume()
    world.write(volume.image, b"kept")
    snapshot = await volume.snapshot()
    copies = [await replica.volume(snapshot=snapshot) for _ in range(2)]
    await _remove(replica, snapshot, volume)
    assert (await replica.look(snapshot, volume.id)).gone
    assert not [one for one in await replica.census() if one.resource_id == snapshot]
    with pytest.raises(NotFound):
        await replica.volume(snapshot=snapshot)
    for copy in copies:
        with pytest.raises(TemporaryError, match=copy.id) as busy:
            await volume.deprovision()
        assert busy.value.reason == Reason.IN_USE
        assert world.content(copy.image, 4) == b"kept"
        await copy.deprovision()
    assert _in_trash(world, volume) == 0
    await volume.deprovision()
    assert volume.image not in world.images()


async def test_a_snapshot_that_is_used_through_iscsi_is_whole(
    replica: Replica, world: World
) -> None:
    """Taken while somebody writes: what was written before is in it."""
    volume = await replica.volume()
    attachment = await replica.attached(volume)
    login = await attachment.login()
    login.write(b"x" * 8192)
    copy = await replica.volume(snapshot=await volume.snapshot())
    login.write(b"y" * 8192)
    assert world.content(copy.image, 8192) == b"x" * 8192
