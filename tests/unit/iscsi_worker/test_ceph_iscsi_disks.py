"""A machine's two disks on the ceph-iscsi gateway, where it fails half way."""

from __future__ import annotations

import pytest

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
