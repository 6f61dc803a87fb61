"""Inspections, census, orphans and the catalog, of the real Ceph and tgtd."""

from __future__ import annotations

import pytest

from services.iscsi_worker.queries import get_storage_catalog
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    CensusTaken,
    GetStorageCatalog,
    GoldenImage,
    InspectStorage,
    OrphanRemoved,
    RemoveOrphan,
    StorageInspectionFailed,
    StorageObserved,
    StoredThing,
    TakeCensus,
)
from shared.contract.problems import Reason
from shared.runtime.errors import PermanentError, TemporaryError
from shared.worker.command import Observation
from shared.worker.errors import Refused
from tests.integration.iscsi_worker.initiators import logged_in
from tests.integration.iscsi_worker.world import (
    GIB,
    INITIATOR,
    STORE,
    TENANT,
    Replica,
    Volume,
    World,
    only,
)


async def _orphan(replica: Replica, what: str, object_id: str, resource_id: str) -> None:
    order = RemoveOrphan(place=STORE, what=what, object_id=object_id, resource_id=resource_id)
    told = only(await replica.do(resource_id, order, tenant="colobus"), OrphanRemoved)
    assert told.object_id == object_id


async def test_an_attachment_is_seen_as_it_is(replica: Replica) -> None:
    """Offered, with who is logged in; and gone with its volume."""
    attachment = await replica.attached(await replica.volume())
    seen = await attachment.look()
    assert (seen.gone, seen.offered, seen.initiators) == (False, True, ())
    with logged_in(await attachment.login()):
        assert (await attachment.look()).initiators == (INITIATOR,)
    await attachment.detach(force=True)
    assert (await attachment.look()).offered is False
    await attachment.volume.deprovision()
    assert (await attachment.look()).gone


async def test_one_inspection_tells_of_all(replica: Replica) -> None:
    """In the order of the question; what no store has is told as a fault, and the rest is told."""
    volume = await replica.volume()
    snapshot, nothing = await volume.snapshot(), new_id("volume")
    strange = new_id("vm")
    things = tuple(
        StoredThing(resource_id=id, tenant=TENANT, volume=of)
        for id, of in (
            (volume.id, volume.id),
            (nothing, nothing),
            (snapshot, volume.id),
            (strange, volume.id),
        )
    )
    told = await replica.do("inspection", InspectStorage(store=STORE, things=things))
    assert all(isinstance(one, Observation) for one in told)
    seen = {one.resource_id: one.message for one in told if isinstance(one, Observation)}
    gone = {id: one.gone for id, one in seen.items() if isinstance(one, StorageObserved)}
    assert gone == {volume.id: False, nothing: True, snapshot: False}
    (fault,) = (one for one in seen.values() if isinstance(one, StorageInspectionFailed))
    assert fault.resource_ids == (strange,)


async def test_a_store_that_is_not_there_is_told(replica: Replica) -> None:
    """No command to it succeeds, however often it is tried."""
    volume = Volume(replica)
    thing = StoredThing(resource_id=volume.id, tenant=TENANT, volume=volume.id)
    told = await replica.do("inspection", InspectStorage(store="nowhere", things=(thing,)))
    assert only(told, StorageInspectionFailed).problem.reason == Reason.NO_STORE
    with pytest.raises(PermanentError):
        await replica.do("census", TakeCensus(place="nowhere"))


async def test_a_census_has_everything_of_ours_and_nothing_else(
    replica: Replica, world: World
) -> None:
    """Images, snapshots and targets, under the names that events told."""
    volume = await replica.volume()
    snapshot = await volume.snapshot()
    attachment = await replica.attached(volume)
    world.make_golden(GIB)
    foreign = f"colobus.other-installation.{TENANT}.{new_id('volume')}"
    world.rbd.RBD().create(world.pool, foreign, GIB)
    try:
        told = await replica.do("census-1", TakeCensus(place=STORE), tenant="colobus")
    finally:
        world.rbd.RBD().remove(world.pool, foreign)
    census = only(told, CensusTaken)
    found = {(one.what, one.id): one.resource_id for one in census.holdings}
    assert found["rbd_image", volume.image] == volume.id
    assert found["rbd_snapshot", f"{volume.image}@{snapshot}"] == snapshot
    assert found["iscsi_target", attachment.target] == attachment.id
    assert len([one for one in found if one[0] == "rbd_image"]) == len(world.images())
    assert {one.place for one in census.holdings} == {STORE}
    assert {one.tenant for one in census.holdings} <= {TENANT, "openlab"}


async def test_orphans_are_removed_one_by_one(replica: Replica, world: World) -> None:
    """Each only when nothing needs it; twice is fine."""
    volume = await replica.volume()
    snapshot = await volume.snapshot()
    attachment = await replica.attached(volume)
    username = (await attachment.login()).username
    with pytest.raises(TemporaryError):
        await _orphan(replica, "rbd_image", volume.image, volume.id)
    with logged_in(await attachment.login()) as held:
        with pytest.raises(TemporaryError, match=INITIATOR):
            await _orphan(replica, "iscsi_target", attachment.target, attachment.id)
        held.log_out()
    for _ in range(2):
        await _orphan(replica, "iscsi_target", attachment.target, attachment.id)
        await _orphan(replica, "rbd_snapshot", f"{volume.image}@{snapshot}", snapshot)
        await _orphan(replica, "rbd_image", volume.image, volume.id)
    assert volume.image not in world.images()
    assert username not in world.tgtd.accounts()


async def test_what_is_not_named_as_that_resources_is_not_touched(
    replica: Replica, world: World
) -> None:
    """Another resource's, another installation's, a golden image, an unknown sort."""
    volume = await replica.volume()
    snapshot = await volume.snapshot()
    golden = world.make_golden(GIB)
    other_installation = volume.image.replace(world.installation, "other")
    orders = [
        ("rbd_image", volume.image, new_id("volume")),
        ("rbd_image", other_installation, volume.id),
        ("rbd_image", f"golden.{golden}", volume.id),
        ("rbd_image", f"{volume.image}.more", volume.id),
        ("rbd_snapshot", f"{volume.image}@{snapshot}", volume.id),
        ("rbd_snapshot", f"golden.{golden}@golden", snapshot),
        ("iscsi_target", "iqn.2026-11.org.colobus:x.y.z", new_id("attachment")),
        ("server", volume.image, volume.id),
    ]
    for order in orders:
        with pytest.raises(Refused):
            await _orphan(replica, *order)
    assert volume.image in world.images()
    assert (await replica.look(snapshot, volume.id)).size_bytes == GIB


async def test_the_catalog_lists_golden_images(replica: Replica, world: World) -> None:
    """With their sizes, rounded up; not those that are still being imported."""
    name = world.make_golden(GIB + 1)
    unfinished = f"golden.{name}-unfinished"
    world.rbd.RBD().create(world.pool, unfinished, GIB)
    try:
        told = await get_storage_catalog(TENANT, GetStorageCatalog(), replica.context)
    finally:
        world.rbd.RBD().remove(world.pool, unfinished)
    (store,) = told.stores
    assert store.store == STORE
    assert GoldenImage(name=name, size_gib=2) in store.images
    assert not [one for one in store.images if "unfinished" in one.name]
