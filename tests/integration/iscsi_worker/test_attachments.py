"""Attachments on the real tgtd: who gets in, and what is found of earlier attempts."""

from __future__ import annotations

import asyncio
import subprocess
from typing import Any

import pytest

from services.iscsi_worker.tgt_gateway import tids
from shared.contract.identifiers import new_id
from shared.contract.problems import Reason
from shared.runtime.errors import PermanentError, TemporaryError
from shared.runtime.secrets import SealingKey
from shared.worker.errors import NotFound
from tests.integration.iscsi_worker.initiators import logged_in
from tests.integration.iscsi_worker.world import (
    INITIATOR,
    OTHER_INITIATOR,
    Attachment,
    Replica,
    Volume,
    World,
)

_BLOCK = 4096
_AUTHENTICATION_FAILED, _NOT_FOUND = "(513)", "(515)"


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
    assert world.content(volume.image, _BLOCK, at=_BLOCK) == b"w" * _BLOCK
    assert login.size() == 1 << 26


async def test_the_answer_says_where_to_log_in(replica: Replica, world: World) -> None:
    """Everything but the secret."""
    volume = await replica.volume()
    attachment = Attachment(replica, volume)
    told = await attachment.attach()
    assert (told.target_iqn, told.lun) == (attachment.target, 1)
    assert told.portals == (world.tgtd.portal,)
    assert 8 <= len(told.chap_username) <= 64
    secret = (await attachment.login()).secret
    assert secret not in repr(told)
    assert 12 <= len(secret) <= 16


async def test_only_the_initiator_with_the_secret_gets_in(replica: Replica) -> None:
    """A wrong secret, another's username, another initiator: the target refuses them."""
    login = await (await replica.attached(await replica.volume())).login()
    assert login.refusal() == ""
    assert _AUTHENTICATION_FAILED in login.but(secret="0123456789abcdef").refusal()
    assert _AUTHENTICATION_FAILED in login.but(username="somebody").refusal()
    assert _NOT_FOUND in login.but(initiator=OTHER_INITIATOR).refusal()


async def test_a_former_holders_secret_is_refused(replica: Replica) -> None:
    """The same volume for the same initiator again is another attachment, with another secret."""
    volume = await replica.volume()
    former = await replica.attached(volume)
    old = await former.login()
    await former.detach()
    assert _NOT_FOUND in old.refusal()
    new = await (await replica.attached(volume)).login()
    assert new.refusal() == ""
    replayed = new.but(username=old.username, secret=old.secret)
    assert _AUTHENTICATION_FAILED in replayed.refusal()
    assert _AUTHENTICATION_FAILED in new.but(secret=old.secret).refusal()


async def test_a_volume_has_one_writer(replica: Replica) -> None:
    """A second attachment is told of the first."""
    volume = await replica.volume()
    first = await replica.attached(volume)
    with pytest.raises(PermanentError, match=first.id) as refused:
        await replica.attached(volume, OTHER_INITIATOR)
    assert refused.value.reason == Reason.IN_USE


async def test_of_two_that_come_at_once_not_both_get_it(world: World) -> None:
    """Tried again and again, one of them has it in the end, and never both."""
    async with world.replica() as one, world.replica() as other:
        volume = await one.volume()
        rivals = [Attachment(one, volume), Attachment(other, volume, OTHER_INITIATOR)]
        for _ in range(20):
            told = await asyncio.gather(*(r.attach() for r in rivals), return_exceptions=True)
            errors = [one for one in told if isinstance(one, BaseException)]
            assert errors
            assert all(getattr(error, "reason", "") == Reason.IN_USE for error in errors)
            if len(errors) == 1:
                break
            assert all(isinstance(error, TemporaryError) for error in errors)
        assert world.tgtd.targets().count(volume.image) == 1


async def test_a_volume_that_is_not_there_is_not_offered(replica: Replica, world: World) -> None:
    """Nor is one of another tenant's."""
    foreign = Volume(replica, tenant="openlab")
    await foreign.provision(size_gib=1)
    for volume in (Volume(replica), Volume(replica, foreign.id)):
        attachment = Attachment(replica, volume)
        with pytest.raises(NotFound) as refused:
            await attachment.attach()
        assert refused.value.reason == Reason.VOLUME_NOT_FOUND
        assert attachment.id not in world.tgtd.targets()


async def test_attaching_again_disturbs_nobody(replica: Replica, world: World) -> None:
    """Also by another process, while the initiator is logged in."""
    attachment = await replica.attached(await replica.volume())
    with logged_in(await attachment.login()) as held:
        async with world.replica() as other:
            again = Attachment(other, attachment.volume, id=attachment.id)
            assert await again.attach() == await attachment.attach()
        assert held.write(2)


async def test_ten_workers_make_one_target(world: World) -> None:
    """All at once: all say the same, and it works."""
    async with world.replica() as one, world.replica() as other:
        volume, attachment_id = await one.volume(), new_id("attachment")
        attachments = [Attachment(r, volume, id=attachment_id) for r in (one, other) * 5]
        told = await asyncio.gather(*(attachment.attach() for attachment in attachments))
        assert all(answer == told[0] for answer in told)
        assert world.tgtd.targets().count(volume.image) == 1
        assert (await attachments[0].login()).refusal() == ""


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
async def test_a_half_made_target_is_completed(replica: Replica, world: World, steps: int) -> None:
    """A worker was killed after so many orders to tgtd; until then nobody got in."""
    volume = await replica.volume()
    attachment = Attachment(replica, volume)
    username = replica.context.kit.chap.account(attachment.target, INITIATOR).username
    tid = str(tids(attachment.target)[0])
    conf, user = world.tgtd.ceph_conf, world.tgtd.ceph_user
    orders: list[tuple[str, ...]] = [
        ("--mode", "target", "--op", "new", "--tid", tid, "-T", attachment.target),
        # With the right name and, as it were, an old key: its account goes with its target.
        ("--mode", "account", "--op", "new", "--user", "other", "--password", "0123456789ab"),
        ("--mode", "account", "--op", "bind", "--tid", tid, "--user", "other"),
        (
            *("--mode", "logicalunit", "--op", "new", "--tid", tid, "--lun", "1"),
            *("--bstype", "rbd", "--backing-store", f"{world.ceph.pool}/{volume.image}"),
            *("--bsopts", f"conf={conf};id={user}"),
        ),
        ("--mode", "target", "--op", "bind", "--tid", tid, "-Q", OTHER_INITIATOR),
    ]
    for order in orders[:steps]:
        world.tgtd.order(*order)
    assert (await attachment.look()).offered is False
    await attachment.attach()
    assert (await attachment.look()).offered
    login = await attachment.login()
    assert login.refusal() == ""
    assert _NOT_FOUND in login.but(initiator=OTHER_INITIATOR).refusal()
    await attachment.detach()
    assert username not in world.tgtd.accounts()
    world.tgtd.order("--mode", "account", "--op", "delete", "--user", "other")


async def test_disks_are_told_apart_by_their_serial_numbers(replica: Replica, world: World) -> None:
    """An initiator with two volumes must not take them for two ways to one."""
    volumes = [await replica.volume() for _ in range(2)]
    for volume in volumes:
        await replica.attached(volume)
    shown = world.tgtd.targets()
    assert all(f"SCSI SN: {volume.id[-26:]}" in shown for volume in volumes)


async def test_the_secret_is_in_no_list_of_processes(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No program is started, neither for an attachment nor for its end, so none was told it."""
    started = list[object]()
    start: Any = subprocess.Popen.__init__

    def watched(self: Any, args: object, *more: Any, **options: Any) -> None:
        started.append(args)
        start(self, args, *more, **options)

    with monkeypatch.context() as watching:
        watching.setattr(subprocess.Popen, "__init__", watched)  # asyncio's programs, too
        attachment = await replica.attached(await replica.volume())
        await attachment.detach()
        assert not started
        process = await asyncio.create_subprocess_exec("true")
        assert (await process.wait(), started) == (0, [("true",)])


async def test_credentials_are_told_only_of_what_is_offered(replica: Replica) -> None:
    """Before the attachment, after it, and with another initiator's name: not ready (409)."""
    volume, key = await replica.volume(), SealingKey.generate()
    attachment = Attachment(replica, volume)
    with pytest.raises(PermanentError, match="not ready") as early:
        await attachment.credentials(key)
    assert early.value.status == 409
    await attachment.attach()
    with pytest.raises(PermanentError, match="not ready"):
        await Attachment(replica, volume, OTHER_INITIATOR, attachment.id).credentials(key)
    issued = await attachment.credentials(key)
    assert key.open(issued.sealed_secret)
    await attachment.detach()
    with pytest.raises(PermanentError, match="not ready"):
        await attachment.credentials(key)
