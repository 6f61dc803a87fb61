"""What the worker's rooms do with ceph-iscsi, from its first call to its last.

Each is acted before the real one and recorded there (`tests/gateway`), and then wherever the
recordings are played back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from services.iscsi_worker.backend import RbdImage, Session
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable, PermanentError, TemporaryError
from shared.worker.errors import Conflict, NotFound, Refused
from tests.unit.iscsi_worker.scene import (
    CLIENT,
    DISK,
    DISKS,
    EXPORT,
    IMAGE,
    INITIATOR,
    ONE,
    OTHER,
    POOL,
    TARGET,
    Stage,
)

Scenario = Callable[[Stage], Awaitable[None]]
_GIB = 1 << 30


async def attaching_and_detaching(stage: Stage) -> None:
    """Each twice; the second time asks for no change."""
    made = await stage.attach()
    assert made.luns == {0: IMAGE}
    assert EXPORT.is_offered_by(made)
    assert await stage.attach() == made
    await stage.detach()
    assert TARGET not in await stage.gateway.targets()
    await stage.detach()


async def waiting_for_the_logout(stage: Stage) -> None:
    """New logins are refused meanwhile, by another account; who it is, is told."""
    await stage.attach()
    async with stage.logged_in(EXPORT):
        for _ in range(2):
            with pytest.raises(TemporaryError, match=f"{INITIATOR} from ") as waiting:
                await stage.detach()
            assert waiting.value.reason == Reason.INITIATOR_LOGGED_IN
        seen = await stage.seen()
        assert not EXPORT.is_offered_by(seen)
        assert [session.initiator_iqn for session in seen.sessions] == [INITIATOR]
        assert seen.usernames == ("colobus-shut",)
        await stage.attach()
        assert EXPORT.is_offered_by(await stage.seen())
    assert (await stage.seen()).sessions == ()
    await stage.detach()
    assert TARGET not in await stage.gateway.targets()


async def detaching_by_force(stage: Stage) -> None:
    """The API ends no session otherwise: the target goes from its host."""
    await stage.attach()
    async with stage.logged_in(EXPORT):
        await stage.detach(force=True)
        assert TARGET not in await stage.gateway.targets()
    await stage.attach()
    await stage.detach()


async def attaching_a_second_time(stage: Stage) -> None:
    """A volume has one writer; the second attachment is told of the first."""
    await stage.attach()
    with pytest.raises(PermanentError, match=ONE) as refused:
        await stage.attach(OTHER)
    assert refused.value.reason == Reason.IN_USE
    await stage.detach()


async def offering_two_disks(stage: Stage) -> None:
    """The root disk first. Twice is the same; a system's name is seen, firmware has none."""
    made = await stage.export()
    assert made.luns_of(DISKS.images) == (0, 1)
    assert await stage.export() == made
    for alias in ("", "tiny"):
        async with stage.logged_in(DISKS, alias):
            (session,) = (await stage.seen(DISKS.target_iqn)).sessions
            told = Session("", DISKS.initiator_iqn, session.address, alias)
            assert session == told
            assert session.of_system is bool(alias)
    await stage.withdraw()
    await stage.withdraw()


async def withdrawing_what_seems_logged_in(stage: Stage) -> None:
    """The machine is off by then: its sessions are closed."""
    await stage.export()
    async with stage.logged_in(DISKS):
        await stage.withdraw()
        assert DISKS.target_iqn not in await stage.gateway.targets()


async def growing(stage: Stage) -> None:
    """By the gateway, or who is logged in would not see it; what isn't offered is left to Ceph."""
    await stage.gateway.grow(IMAGE, 2 * _GIB)
    await stage.attach()
    for gib in (2, 2, 1):
        await stage.gateway.grow(IMAGE, gib * _GIB)
    seen = await stage.seen()
    assert EXPORT.is_offered_by(seen)
    assert not seen.is_outdated([RbdImage(IMAGE, 2 * _GIB)])
    await stage.detach()


async def letting_go_of_a_disk(stage: Stage) -> None:
    """A worker was killed between defining and mapping it; what is mapped stays."""
    deadline = Deadline.after(120)
    await stage.api.put(deadline, f"disk/{DISK}", mode="create", create_image="false")
    await stage.gateway.release(IMAGE)
    await stage.gateway.release(IMAGE)
    await stage.attach()
    await stage.gateway.release(IMAGE)
    assert EXPORT.is_offered_by(await stage.seen())
    await stage.detach()


async def asking_for_what_is_not_there(stage: Stage) -> None:
    """Its answers to unknown names, whatever their status, are that there is none."""
    api, deadline, disk = stage.api, Deadline.after(120), {"disk": f"{POOL}/nothing"}
    for path in (f"target/{TARGET}", f"client/{CLIENT}", f"disk/{POOL}/nothing"):
        with pytest.raises(NotFound):
            await api.delete(deadline, path)
    with pytest.raises(NotFound):
        await api.delete(deadline, f"targetlun/{TARGET}", **disk)
    with pytest.raises(NotFound):
        await api.get(deadline, f"clientinfo/{CLIENT}")
    with pytest.raises(NotFound):
        await api.put(deadline, f"client/{CLIENT}")
    with pytest.raises(NotFound):
        await api.put(deadline, f"disk/{POOL}/nothing", mode="create", create_image="false")
    await stage.attach()
    with pytest.raises(NotFound):
        await api.get(deadline, f"clientinfo/{TARGET}/iqn.2026-11.org.test:nobody")
    with pytest.raises(NotFound):
        await api.delete(deadline, f"client/{TARGET}/iqn.2026-11.org.test:nobody")
    with pytest.raises(NotFound):
        await api.put(deadline, f"targetlun/{TARGET}", **disk)
    with pytest.raises(NotFound):
        await api.delete(deadline, f"targetlun/{TARGET}", **disk)
    with pytest.raises(NotFound):
        await api.delete(deadline, f"clientlun/{CLIENT}", **disk)
    await stage.detach()


async def asking_for_what_may_not_be(stage: Stage) -> None:
    """What is there already, what is in use, and what is wrong."""
    api, deadline = stage.api, Deadline.after(240)
    await stage.attach()
    host = (await api.get(deadline, "config"))["targets"][TARGET]["portals"]
    (name,) = host
    standing: tuple[tuple[str, dict[str, str]], ...] = (
        (f"gateway/{TARGET}/{name}", {"ip_address": host[name]["portal_ip_addresses"][0]}),
        (f"disk/{DISK}", {"mode": "create", "create_image": "false"}),
        (f"targetlun/{TARGET}", {"disk": DISK}),
        (f"client/{CLIENT}", {}),
        (f"disk/{DISK}", {"mode": "resize", "size": "1G"}),
    )
    for path, form in standing:
        with pytest.raises(Conflict):
            await api.put(deadline, path, **form)
    used: tuple[tuple[str, dict[str, str]], ...] = (
        (f"disk/{DISK}", {"preserve_image": "true"}),
        (f"targetlun/{TARGET}", {"disk": DISK}),
    )
    for path, form in used:
        with pytest.raises(Conflict):
            await api.delete(deadline, path, **form)
    async with stage.logged_in(EXPORT):
        with pytest.raises(Conflict, match="logged in"):
            await api.delete(deadline, f"client/{CLIENT}")
    with pytest.raises(Refused, match="Minimum length of password"):
        await api.put(deadline, f"clientauth/{CLIENT}", username="somebody", password="short")
    with pytest.raises(Refused, match="Invalid iqn"):
        await api.put(deadline, "target/eui.0123456789abcdef")
    await stage.detach()
    await api.put(deadline, f"target/{TARGET}")
    with pytest.raises(BackendUnavailable, match="gateways must exist"):
        await api.put(deadline, f"targetlun/{TARGET}", disk=DISK)
    with pytest.raises(BackendUnavailable, match="cannot be used to perform"):
        await api.put(deadline, f"client/{CLIENT}")
    with pytest.raises(Refused, match="not available on"):
        await api.put(deadline, f"gateway/{TARGET}/{name}", ip_address="203.0.113.1")
    with pytest.raises(Refused, match="not resolvable"):
        await api.put(deadline, f"gateway/{TARGET}/nowhere", ip_address="203.0.113.1")
    await api.delete(deadline, f"target/{TARGET}")


SCENARIOS: dict[str, Scenario] = {
    one.__name__: one
    for one in (
        attaching_and_detaching,
        waiting_for_the_logout,
        detaching_by_force,
        attaching_a_second_time,
        offering_two_disks,
        withdrawing_what_seems_logged_in,
        growing,
        letting_go_of_a_disk,
        asking_for_what_is_not_there,
        asking_for_what_may_not_be,
    )
}
