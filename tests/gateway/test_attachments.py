"""Attachments on the real ceph-iscsi: who gets in, and what is found of earlier attempts."""

from __future__ import annotations

import asyncio

import pytest

from shared.contract.identifiers import new_id
from shared.contract.messages import GrowVolume, VolumeGrown
from shared.runtime.errors import TemporaryError
from tests.gateway.world import World
from tests.integration.iscsi_worker.initiators import logged_in
from tests.integration.iscsi_worker.world import (
    GIB,
    INITIATOR,
    OTHER_INITIATOR,
    STORE,
    Attachment,
    Replica,
    only,
)
from tests.support.conditions import eventually

_BLOCK = 4096
#: Class 2 and detail 1 or 2 of a refused login (RFC 7143, 11.13.5), as the initiator shows them.
_AUTHENTICATION_FAILED, _NOT_AUTHORIZED = "(513)", "(514)"


async def test_what_is_written_through_iscsi_is_in_the_volume(
    replica: Replica, world: World
) -> None:
    """And what is in the volume is read through iSCSI."""
    image = world.make_golden(1 << 26, b"g" * _BLOCK)
    volume = await replica.volume(image=image)
    attachment = await replica.attached(volume)
    login = await attachment.login()
    assert login.reads(b"g" * _BLOCK)
    login.write(b"w" * _BLOCK, at=_BLOCK)
    assert login.size() == 1 << 26
    await attachment.detach()
    assert world.content(volume.image, _BLOCK, at=_BLOCK) == b"w" * _BLOCK
    assert (world.targets(), world.disks()) == ([], [])
    await volume.deprovision()


async def test_only_the_initiator_with_the_secret_gets_in(replica: Replica, world: World) -> None:
    """A wrong secret, another's username, another initiator: the target refuses them."""
    attachment = Attachment(replica, await replica.volume())
    told = await attachment.attach()
    assert (told.target_iqn, told.portals) == (attachment.target, (world.portal,))
    login = await attachment.login()
    assert login.refusal() == ""
    assert _AUTHENTICATION_FAILED in login.but(secret="0123456789abcdef").refusal()
    assert _AUTHENTICATION_FAILED in login.but(username="somebody").refusal()
    assert _NOT_AUTHORIZED in login.but(initiator=OTHER_INITIATOR).refusal()
    await attachment.detach()


async def test_a_former_holders_secret_is_refused(replica: Replica) -> None:
    """The same volume for the same initiator again is another attachment, with another secret."""
    volume = await replica.volume()
    former = await replica.attached(volume)
    old = await former.login()
    await former.detach()
    assert old.refusal() != ""
    attachment = await replica.attached(volume)
    new = await attachment.login()
    assert new.refusal() == ""
    assert _AUTHENTICATION_FAILED in new.but(secret=old.secret).refusal()
    await attachment.detach()


async def test_attaching_again_disturbs_nobody(replica: Replica, world: World) -> None:
    """Also by another process, while the initiator is logged in."""
    attachment = await replica.attached(await replica.volume())
    with logged_in(await attachment.login()) as held:
        async with world.replica() as other:
            again = Attachment(other, attachment.volume, id=attachment.id)
            assert await again.attach() == await attachment.attach()
        assert held.write(2)
        await attachment.detach(force=True)
    assert world.content(attachment.volume.image, _BLOCK) == b"\x02" * _BLOCK
    assert (world.targets(), world.disks()) == ([], [])


async def test_workers_that_come_at_once_make_one_target(world: World) -> None:
    """What fails of one because of the other is tried again; in the end all say the same."""
    async with world.replica() as one, world.replica() as other:
        volume, attachment_id = await one.volume(), new_id("attachment")
        attachments = [Attachment(r, volume, id=attachment_id) for r in (one, other)]
        failures: list[str] = []

        async def attached(attachment: Attachment) -> object:
            while len(failures) < 20:
                try:
                    return await attachment.attach()
                except TemporaryError as error:
                    failures.append(error.detail)
            raise AssertionError(failures)

        told = await asyncio.gather(*map(attached, attachments))
        assert told[0] == told[1]
        assert world.targets() == [attachments[0].target]
        assert (await attachments[0].login()).refusal() == ""
        await attachments[0].detach()


@pytest.mark.parametrize("steps", [1, 3, 5, 6])
async def test_a_half_made_target_is_completed(replica: Replica, world: World, steps: int) -> None:
    """A worker was killed after so many calls; until then nobody got at the volume."""
    volume = await replica.volume()
    attachment = Attachment(replica, volume)
    target, disk = attachment.target, f"{world.ceph.pool}/{volume.image}"
    address = world.portal.rpartition(":")[0]
    calls: list[tuple[str, dict[str, str]]] = [
        (f"target/{target}", {}),
        (f"gateway/{target}/{world.host}", {"ip_address": address}),
        (f"disk/{disk}", {"mode": "create", "create_image": "false"}),
        (f"targetlun/{target}", {"disk": disk}),
        (f"client/{target}/{OTHER_INITIATOR}", {}),
        (f"client/{target}/{INITIATOR}", {}),
    ]
    for path, form in calls[:steps]:
        status, told = world.asked("PUT", path, **form)
        assert status == 200, told
    assert (await attachment.look()).offered is False
    await attachment.attach()
    assert (await attachment.look()).offered
    login = await attachment.login()
    assert login.refusal() == ""
    assert _NOT_AUTHORIZED in login.but(initiator=OTHER_INITIATOR).refusal()
    await attachment.detach()
    assert (world.targets(), world.disks()) == ([], [])


async def test_who_is_logged_in_works_on_while_the_volume_grows(
    replica: Replica, world: World
) -> None:
    """Who logs in then sees the new size, while the first one is there still."""
    volume = await replica.volume()
    attachment = await replica.attached(volume)
    login = await attachment.login()
    with logged_in(login) as held:
        order = GrowVolume(store=STORE, operation_id="op-1", size_gib=2)
        for _ in range(2):
            told = only(await replica.do(volume.id, order), VolumeGrown)
            assert told.size_bytes == 2 * GIB
        assert await asyncio.to_thread(login.size) == 2 * GIB
        seen = await attachment.look()
        assert (seen.offered, seen.outdated) == (True, False)
        assert held.write(3)
    login.write(b"n" * _BLOCK, at=2 * GIB - _BLOCK)
    await eventually(lambda: _detached(attachment), what="it is detached")
    assert world.content(volume.image, _BLOCK, at=2 * GIB - _BLOCK) == b"n" * _BLOCK


async def test_an_initiator_that_died_does_not_hold_its_volume_for_ever(replica: Replica) -> None:
    """LIO asks it whether it lives, and ends its session."""
    attachment = await replica.attached(await replica.volume())
    with logged_in(await attachment.login()) as held:
        held.kill()
    await eventually(lambda: _detached(attachment), what="it is detached")


async def _detached(attachment: Attachment) -> bool:
    try:
        await attachment.detach()
    except TemporaryError:
        return False
    return True
