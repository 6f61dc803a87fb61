"""Machines, inspections, census and orphans, of the real Ceph and the real ceph-iscsi."""

from __future__ import annotations

import pytest

from shared.contract.messages import CensusTaken, OrphanRemoved, RemoveOrphan, TakeCensus
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from tests.gateway.world import World
from tests.integration.iscsi_worker.initiators import logged_in
from tests.integration.iscsi_worker.machines import made_machine, system
from tests.integration.iscsi_worker.world import INITIATOR, STORE, Replica, only
from tests.support.conditions import eventually


async def test_a_machine_has_both_disks_in_order(replica: Replica, world: World) -> None:
    """Root first; a system is told by its name, and taken off in the end."""
    machine = await made_machine(replica, b"r" * 4096)
    told = await machine.export()
    assert (told.lun, told.config_lun, told.portals) == (0, 1, (world.portal,))
    assert await machine.export() == told
    root, config = machine.login(told.lun), machine.login(told.config_lun)
    assert root.reads(b"r" * 4096)
    assert config.reads(b"\x01", at=16 * 2048)
    with system(root, "web-1"):
        seen = await machine.look()
        assert seen.systems == seen.initiators == (machine.offer.initiator_iqn,)
        await machine.withdraw()
    assert (await machine.look()).offered is False
    await machine.withdraw()
    await machine.drop_config()
    await machine.drop_root()
    assert (world.targets(), world.disks()) == ([], [])


async def test_a_census_has_its_targets_and_orphans_are_removed(
    replica: Replica, world: World
) -> None:
    """Not while somebody is logged in; twice is fine."""
    attachment = await replica.attached(await replica.volume())

    async def orphan(what: str, object_id: str, resource_id: str) -> None:
        order = RemoveOrphan(place=STORE, what=what, object_id=object_id, resource_id=resource_id)
        told = await replica.do(resource_id, order, tenant="colobus")
        assert only(told, OrphanRemoved).object_id == object_id

    target = ("iscsi_target", attachment.target, attachment.id)
    census = only(
        await replica.do("census-1", TakeCensus(place=STORE), tenant="colobus"), CensusTaken
    )
    found = {(one.what, one.id, one.resource_id) for one in census.holdings}
    assert target in found
    with logged_in(await attachment.login()):
        assert (await attachment.look()).initiators == (INITIATOR,)
        with pytest.raises(TemporaryError) as busy:
            await orphan(*target)
        assert busy.value.reason == Reason.INITIATOR_LOGGED_IN

    async def logged_out() -> bool:
        return not (await attachment.look()).initiators

    await eventually(logged_out, what="the session ended")
    volume = attachment.volume
    for _ in range(2):
        await orphan(*target)
        await orphan("rbd_image", volume.image, volume.id)
    assert (world.targets(), world.disks()) == ([], [])
    assert (await attachment.look()).gone
