"""A machine's two disks on the ceph-iscsi gateway, as the scripted API answers."""

from __future__ import annotations

import pytest

from services.iscsi_worker.backend import Session
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from tests.unit.iscsi_worker.scene import DISKS, POOL, Scene

TARGET, INITIATOR = DISKS.target_iqn, DISKS.initiator_iqn
ROOT, CONFIG = (f"{POOL}/{image}" for image in DISKS.images)
CLIENT = f"{TARGET}/{INITIATOR}"
MAKING = [
    f"PUT target/{TARGET}",
    f"PUT gateway/{TARGET}/gw1",
    f"PUT gateway/{TARGET}/gw2",
    f"PUT disk/{ROOT}",
    f"PUT targetlun/{TARGET}",
    f"PUT disk/{CONFIG}",
    f"PUT targetlun/{TARGET}",
    f"PUT client/{CLIENT}",
    f"PUT clientauth/{CLIENT}",
    f"PUT clientlun/{CLIENT}",
    f"PUT clientlun/{CLIENT}",
]
UNMAKING = [
    f"PUT clientauth/{CLIENT}",
    f"DELETE client/{CLIENT}",
    f"DELETE targetlun/{TARGET}",
    f"DELETE disk/{ROOT}",
    f"DELETE targetlun/{TARGET}",
    f"DELETE disk/{CONFIG}",
    f"DELETE target/{TARGET}",
]


async def test_a_life_is_these_calls(scene: Scene) -> None:
    """The root disk first; what is repeated asks for no change."""
    made = await scene.export()
    assert scene.server.calls == MAKING
    assert made.luns == {0: DISKS.images[0], 1: DISKS.images[1]}
    assert made.luns_of(DISKS.images) == (0, 1)
    assert await scene.export() == made
    assert scene.server.calls == MAKING
    scene.server.calls.clear()
    await scene.withdraw()
    assert scene.server.calls == UNMAKING
    await scene.withdraw()
    assert (scene.server.targets, scene.server.disks) == ({}, {})


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("number", range(len(MAKING) + len(UNMAKING)))
async def test_what_failed_half_way_is_completed(scene: Scene, number: int, late: bool) -> None:
    """With the disks in their order, whichever call it was."""
    server = scene.server
    server.broken_at, server.late = number, late
    failures: list[TemporaryError] = []
    for step in (scene.export, scene.withdraw):
        for _ in range(2):
            try:
                await step()
            except TemporaryError as error:
                failures.append(error)
        if step == scene.export:
            assert (await scene.export()).luns_of(DISKS.images) == (0, 1)
            assert list(server.targets[TARGET]["clients"]) == [INITIATOR]
    assert [failure.reason for failure in failures] == [Reason.BACKEND_UNAVAILABLE]
    assert (server.targets, server.disks) == ({}, {})


async def test_one_disk_is_not_all_that_is_to_be_offered(scene: Scene) -> None:
    """The client sees only what is mapped to it."""
    await scene.export()
    assert DISKS.is_offered_by((await scene.store.gateway.targets())[TARGET])
    del scene.server.targets[TARGET]["disks"][CONFIG]
    assert not DISKS.is_offered_by((await scene.store.gateway.targets())[TARGET])


async def test_what_seems_logged_in_still_is_closed(scene: Scene) -> None:
    """The machine is off by then."""
    await scene.export()
    scene.server.logged_in = {INITIATOR}
    await scene.withdraw()
    assert (scene.server.targets, scene.server.disks) == ({}, {})


@pytest.mark.parametrize(("alias", "of_system"), [("", False), ("tiny", True), ("(none)", True)])
async def test_a_system_tells_its_name(scene: Scene, alias: str, of_system: bool) -> None:
    """And firmware tells none."""
    await scene.export()
    scene.server.logged_in, scene.server.aliases = {INITIATOR}, {INITIATOR: alias}
    (session,) = (await scene.store.gateway.targets([TARGET]))[TARGET].sessions
    assert session == Session("", INITIATOR, "10.0.0.9", alias)
    assert session.of_system is of_system
