"""Volumes on the real Ceph: blank, from golden images, from snapshots; and their end."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from services.iscsi_worker import rbd_backend
from services.iscsi_worker.names import golden_image
from shared.contract.identifiers import new_id
from shared.contract.messages import VolumeProvisioned
from shared.contract.problems import Reason
from shared.runtime.errors import PermanentError, TemporaryError
from shared.worker.errors import NotFound
from tests.integration.iscsi_worker.world import GIB, Replica, Volume, World
from tests.support.conditions import eventually

_TEXT = b"golden" * 100


async def test_a_blank_volume_has_its_size(replica: Replica, world: World) -> None:
    """It bears all marks in its name, and was read from."""
    volume = Volume(replica)
    made = await volume.provision(size_gib=2)
    assert made == VolumeProvisioned(rbd_image=volume.image, size_bytes=2 * GIB)
    assert volume.image in world.images()
    assert (await replica.look(volume.id, volume.id)).size_bytes == 2 * GIB


async def test_a_volume_of_a_golden_image_holds_what_the_image_holds(
    replica: Replica, world: World
) -> None:
    """What is written to it, the image doesn't see, nor does another volume."""
    image = world.make_golden(GIB, _TEXT)
    one, other = await replica.volume(image=image), await replica.volume(image=image)
    assert world.content(one.image, len(_TEXT)) == _TEXT
    world.write(one.image, b"changed")
    assert world.content(other.image, len(_TEXT)) == _TEXT
    assert world.content(golden_image(image), len(_TEXT)) == _TEXT


async def test_a_volume_may_be_larger_than_its_image(replica: Replica, world: World) -> None:
    """Not smaller: the answer says both sizes."""
    image = world.make_golden(2 * GIB, _TEXT)
    assert (await Volume(replica).provision(image=image, size_gib=5)).size_bytes == 5 * GIB
    assert (await Volume(replica).provision(image=image)).size_bytes == 2 * GIB
    with pytest.raises(PermanentError, match=r"1 GiB are asked for.* has 2 GiB") as refused:
        await Volume(replica).provision(image=image, size_gib=1)
    assert refused.value.reason == Reason.SIZE_TOO_SMALL


async def test_a_volume_of_a_snapshot_holds_what_was_there_then(
    replica: Replica, world: World
) -> None:
    """Not what was written later."""
    volume = await replica.volume()
    world.write(volume.image, _TEXT)
    snapshot = await volume.snapshot()
    world.write(volume.image, b"later!" * 100)
    copy = await replica.volume(snapshot=snapshot, size_gib=3)
    assert world.content(copy.image, len(_TEXT)) == _TEXT
    assert (await replica.look(copy.id, copy.id)).size_bytes == 3 * GIB


async def test_what_a_volume_is_made_of_must_be_there(replica: Replica) -> None:
    """Another tenant's snapshot is as unknown as one that never was."""
    with pytest.raises(NotFound) as no_image:
        await replica.volume(image="nowhere")
    assert no_image.value.reason == Reason.IMAGE_NOT_FOUND
    snapshot = await (await replica.volume()).snapshot()
    for unknown, tenant in ((new_id("snapshot"), "bigtop"), (snapshot, "openlab")):
        with pytest.raises(NotFound) as no_snapshot:
            await Volume(replica, tenant=tenant).provision(snapshot=unknown)
        assert no_snapshot.value.reason == Reason.SNAPSHOT_NOT_FOUND


async def test_provisioning_again_changes_nothing(replica: Replica, world: World) -> None:
    """Also by another process, and when the volume has grown meanwhile."""
    image = world.make_golden(GIB, _TEXT)
    volume = await replica.volume(image=image)
    world.write(volume.image, b"mine")
    with world.rbd.Image(world.pool, volume.image) as opened:
        opened.resize(2 * GIB)
    async with world.replica() as other:
        again = await Volume(other, volume.id).provision(image=image)
    assert again.size_bytes == 2 * GIB
    assert world.content(volume.image, 4) == b"mine"


async def test_a_clone_that_was_not_grown_is_grown(replica: Replica, world: World) -> None:
    """A worker was killed between the two."""
    image, volume = world.make_golden(GIB, _TEXT), Volume(replica)
    world.rbd.RBD().clone(world.pool, golden_image(image), "golden", world.pool, volume.image)
    assert (await volume.provision(image=image, size_gib=2)).size_bytes == 2 * GIB


async def test_a_clone_that_never_got_its_parent_is_made_anew(
    replica: Replica, world: World
) -> None:
    """A worker was killed while librbd was making it; not before it is surely dead."""
    image, volume = world.make_golden(GIB, _TEXT), Volume(replica)
    world.rbd.RBD().create(world.pool, volume.image, GIB)
    with pytest.raises(TemporaryError, match="is being made") as waiting:
        await volume.provision(image=image)
    assert waiting.value.reason == Reason.IN_USE
    await Volume(replica.impatient(), volume.id).provision(image=image)
    assert world.content(volume.image, len(_TEXT)) == _TEXT


def _behead(world: World, image: str) -> None:
    """Leave of an image what librbd makes first: its name."""
    with world.rbd.Image(world.pool, image) as opened:
        header = f"rbd_header.{opened.id()}"
    world.pool.remove_object(header)


async def test_a_name_without_an_image_is_made_whole(replica: Replica, world: World) -> None:
    """A worker was killed when librbd had taken the name alone."""
    image = world.make_golden(GIB, _TEXT)
    for fields in ({"size_gib": 1}, {"image": image}):
        volume = await replica.volume()
        _behead(world, volume.image)
        with pytest.raises(TemporaryError, match="is being made"):
            await volume.provision(**fields)
        await Volume(replica.impatient(), volume.id).provision(**fields)
        assert (await replica.look(volume.id, volume.id)).size_bytes == GIB


async def test_a_name_without_an_image_goes(replica: Replica, world: World) -> None:
    """It is in the census, although it can't be opened."""
    volume = await replica.volume()
    _behead(world, volume.image)
    assert (await replica.look(volume.id, volume.id)).gone
    assert volume.image in {one.id for one in await replica.census()}
    await volume.deprovision()
    assert volume.image not in world.images()


async def test_a_clone_that_was_flattened_is_left_as_it_is(replica: Replica, world: World) -> None:
    """It has no parent any more, but data."""
    image = world.make_golden(GIB, _TEXT)
    volume = await replica.volume(image=image)
    with world.rbd.Image(world.pool, volume.image) as opened:
        opened.flatten()
        opened.write(b"mine", 0)
    await volume.provision(image=image)
    assert world.content(volume.image, 4) == b"mine"


async def test_a_name_that_is_taken_by_something_else_is_refused(
    replica: Replica, world: World
) -> None:
    """What is a clone of another image is not this volume."""
    one, other = world.make_golden(GIB), world.make_golden(GIB)
    volume = await replica.volume(image=one)
    with pytest.raises(PermanentError, match="is a clone of"):
        await volume.provision(image=other)


async def test_ten_workers_make_one_volume(world: World) -> None:
    """All at once: all say the same in the end; who sees it in the making is told to come again."""
    image, volume_id = world.make_golden(GIB, _TEXT), new_id("volume")

    async def make(replica: Replica) -> VolumeProvisioned | None:
        try:
            return await Volume(replica, volume_id).provision(image=image, size_gib=2)
        except TemporaryError as error:
            refusals.append(error)
            return None

    refusals: list[TemporaryError] = []
    async with world.replica() as one, world.replica() as other:
        told = await asyncio.gather(
            *(eventually(partial(make, replica), what="it is made") for replica in (one, other) * 5)
        )
        assert {made.size_bytes for made in told} == {2 * GIB}
        assert world.content(told[0].rbd_image, len(_TEXT)) == _TEXT
        assert {error.reason for error in refusals} <= {Reason.IN_USE}
    assert len([name for name in world.images() if name.endswith(volume_id)]) == 1


async def test_ten_workers_delete_one_volume(world: World) -> None:
    """All at once: it is gone for all in the end, and what it was made of can go."""
    image = world.make_golden(GIB, _TEXT)

    async def delete(volume: Volume) -> bool:
        try:
            await volume.deprovision()
        except TemporaryError as error:
            refusals.append(error)
            return False
        return True

    refusals: list[TemporaryError] = []
    async with world.replica() as one, world.replica() as other:
        volume = await one.volume(image=image)
        deletions = [partial(delete, Volume(r, volume.id)) for r in (one, other) * 5]
        await asyncio.gather(*(eventually(one, what="it is gone") for one in deletions))
    assert {error.reason for error in refusals} <= {Reason.IN_USE}
    assert volume.image not in world.images()


async def test_deleting_twice_is_fine(replica: Replica, world: World) -> None:
    """And so is deleting what never was."""
    volume = await replica.volume()
    await volume.deprovision()
    await volume.deprovision()
    assert volume.image not in world.images()
    assert (await replica.look(volume.id, volume.id)).gone


async def test_a_lock_lasts_as_long_as_the_work(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image of TiBs takes minutes to go; nobody else is at it meanwhile, and all may be then."""
    monkeypatch.setattr(rbd_backend, "LOCK_SECONDS", 4)
    pool = rbd_backend.Pool(world.rbd, world.pool, world.rbd.Image)
    busy = rbd_backend.vendor().rados.ObjectBusy

    def is_free() -> bool:
        try:
            with pool.alone("long"):
                return True
        except busy:
            return False

    def work() -> list[bool]:
        ends, found = time.monotonic() + 10, []
        with pool.alone("long"):
            while time.monotonic() < ends:
                found.append(is_free())
                time.sleep(0.2)
        return found

    assert not any(await asyncio.to_thread(work))
    assert await asyncio.to_thread(is_free)


async def test_another_tenants_volume_is_not_found(replica: Replica, world: World) -> None:
    """A delete under another tenant's name finds nothing, and changes nothing."""
    volume = await replica.volume()
    await Volume(replica, volume.id, "openlab").deprovision()
    assert volume.image in world.images()


async def test_a_volume_in_use_says_who_holds_it(replica: Replica, world: World) -> None:
    """Nothing is half done; when the holders are gone, it goes."""
    volume = await replica.volume()
    snapshot = await volume.snapshot()
    copy = await replica.volume(snapshot=snapshot)
    attachment = await replica.attached(volume)
    with pytest.raises(TemporaryError) as busy:
        await volume.deprovision()
    assert busy.value.reason == Reason.IN_USE
    assert all(holder in busy.value.detail for holder in (attachment.id, snapshot, copy.id))
    assert (await replica.look(volume.id, volume.id)).size_bytes == GIB
    await attachment.detach()
    await copy.deprovision()
    with pytest.raises(TemporaryError, match=snapshot):
        await volume.deprovision()
    with world.rbd.Image(world.pool, volume.image) as opened:
        opened.remove_snap(snapshot)
        with pytest.raises(TemporaryError, match=r"it is open at 127\.0\.0\.1"):
            await volume.deprovision()
    await volume.deprovision()
    assert volume.image not in world.images()


@pytest.mark.parametrize("size_gib", [1, 100])
async def test_the_size_of_an_image_costs_a_clone_no_time(
    replica: Replica, world: World, size_gib: int
) -> None:
    """The bench measures it; here no more than that nothing is copied."""
    image = world.make_golden(size_gib * GIB, _TEXT)
    started = time.monotonic()
    await replica.volume(image=image)
    assert time.monotonic() - started < 5
