"""Detaching on the real tgtd: nothing is pulled from under a session, unless by force."""

from __future__ import annotations

import pytest

from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from tests.integration.iscsi_worker.initiators import logged_in
from tests.integration.iscsi_worker.world import INITIATOR, Attachment, Replica, World
from tests.support.conditions import eventually


async def _detached(attachment: Attachment) -> bool:
    try:
        await attachment.detach()
    except TemporaryError:
        return False
    return True


async def test_a_detach_waits_until_the_initiator_has_logged_out(
    replica: Replica, world: World
) -> None:
    """Who is in works on, and nobody new gets in; the reason names who is in."""
    attachment = await replica.attached(await replica.volume())
    login = await attachment.login()
    with logged_in(login) as held:
        for value in (2, 3):
            with pytest.raises(TemporaryError, match=f"{INITIATOR} from 127.0.0.1") as waiting:
                await attachment.detach()
            assert waiting.value.reason == Reason.INITIATOR_LOGGED_IN
            assert waiting.value.retry_after == 2
            assert held.write(value)
            assert "(515)" in login.refusal()
        assert (await attachment.look()).initiators == (INITIATOR,)
        held.log_out()
        await eventually(lambda: _detached(attachment), what="it is detached")
    assert world.content(attachment.volume.image, 4096) == b"\x03" * 4096
    assert attachment.id not in world.tgtd.targets()
    await attachment.volume.deprovision()


async def test_an_attachment_that_was_to_go_can_stay(replica: Replica) -> None:
    """Attached again while it waits: its initiator may come back."""
    attachment = await replica.attached(await replica.volume())
    login = await attachment.login()
    with logged_in(login) as held:
        with pytest.raises(TemporaryError):
            await attachment.detach()
        assert not (await attachment.look()).offered
        await attachment.attach()
        assert held.write(2)
    assert login.refusal() == ""


async def test_force_detaches_under_a_session(replica: Replica, world: World) -> None:
    """Its connections are closed, and what was written is kept."""
    attachment = await replica.attached(await replica.volume())
    with logged_in(await attachment.login()) as held:
        assert held.write(7)
        await attachment.detach(force=True)
        assert attachment.id not in world.tgtd.targets()
    assert world.content(attachment.volume.image, 4096) == b"\x07" * 4096
    await attachment.volume.deprovision()


async def test_an_initiator_that_died_does_not_hold_its_volume_for_ever(replica: Replica) -> None:
    """Tgtd asks it whether it lives, and ends its session."""
    attachment = await replica.attached(await replica.volume())
    with logged_in(await attachment.login()) as held:
        held.kill()
    await eventually(lambda: _detached(attachment), what="it is detached")


async def test_detaching_leaves_nothing(replica: Replica, world: World) -> None:
    """Neither target nor account; twice is fine, and so is what never was."""
    attachment = await replica.attached(await replica.volume())
    username = (await attachment.login()).username
    assert username in world.tgtd.accounts()
    await attachment.detach()
    await attachment.detach()
    assert username not in world.tgtd.accounts()
    assert attachment.id not in world.tgtd.targets()
    await Attachment(replica, attachment.volume).detach()


async def test_an_account_that_a_killed_detach_left_goes_with_the_next(
    replica: Replica, world: World
) -> None:
    """Its target was gone already."""
    attachment = await replica.attached(await replica.volume())
    username = (await attachment.login()).username
    shown = world.tgtd.targets()
    tid = shown[: shown.index(attachment.target)].rpartition("Target ")[2].split(":")[0]
    world.tgtd.order("--mode", "target", "--op", "delete", "--tid", tid)
    assert username in world.tgtd.accounts()
    await attachment.detach()
    assert username not in world.tgtd.accounts()
