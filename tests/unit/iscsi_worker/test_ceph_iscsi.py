"""The ceph-iscsi gateway against a small server that answers as the real API was seen to."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.iscsi_worker.backend import RbdImage
from services.iscsi_worker.ceph_iscsi_api import CephIscsiApi, fault_of
from services.iscsi_worker.stores_file import CephIscsiAccess
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import (
    BackendUnavailable,
    ConfigurationError,
    OutcomeUnknown,
    PermanentError,
    TemporaryError,
)
from shared.worker.errors import Conflict, NotFound, Refused
from tests.unit.iscsi_worker.scene import (
    CLIENT,
    DISK,
    IMAGE,
    INITIATOR,
    KIT,
    ONE,
    OTHER,
    TARGET,
    VOLUME,
    Scene,
    access_of,
)

MAKING = [
    f"PUT target/{TARGET}",
    f"PUT gateway/{TARGET}/gw1",
    f"PUT gateway/{TARGET}/gw2",
    f"PUT disk/{DISK}",
    f"PUT targetlun/{TARGET}",
    f"PUT client/{CLIENT}",
    f"PUT clientauth/{CLIENT}",
    f"PUT clientlun/{CLIENT}",
]
UNMAKING = [
    f"PUT clientauth/{CLIENT}",
    f"DELETE client/{CLIENT}",
    f"DELETE targetlun/{TARGET}",
    f"DELETE disk/{DISK}",
    f"DELETE target/{TARGET}",
]


async def test_a_life_is_these_calls(scene: Scene) -> None:
    """The account before the LUN; all portals; what is repeated asks for no change."""
    made = await scene.attach()
    assert scene.server.calls == MAKING
    assert made.luns == {0: IMAGE}
    assert scene.store.gateway.portals == ("10.0.0.1:3260", "[fd00::2]:3260")
    assert scene.server.forms[2] == {"ip_address": "fd00::2"}
    assert await scene.attach() == made
    assert scene.server.calls == MAKING
    scene.server.calls.clear()
    await scene.detach()
    assert scene.server.calls == UNMAKING
    await scene.detach()
    assert (scene.server.targets, scene.server.disks) == ({}, {})


_BROKEN = [
    (503, "failed, gateway(s) unavailable:gw2(iscsi UP, api DOWN)"),
    (500, "failed on gw2, applied to gw1, aborted . unknown failure"),
    (500, "Unhandled exception: [Errno 5] Input/output error"),
]


@pytest.mark.parametrize("broken", _BROKEN)
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("number", range(len(MAKING) + len(UNMAKING)))
async def test_what_failed_half_way_is_completed(
    scene: Scene, number: int, late: bool, broken: tuple[int, str]
) -> None:
    """Whichever call it was, and whether or not the gateway has carried it out all the same."""
    server = scene.server
    server.broken_at, server.late, server.broken = number, late, broken
    failures: list[TemporaryError] = []
    for step in (scene.attach, scene.detach):
        for _ in range(2):
            try:
                await step()
            except TemporaryError as error:
                failures.append(error)
        if step == scene.attach:
            assert list(server.targets) == [TARGET]
            assert list(server.targets[TARGET]["clients"][INITIATOR]["luns"]) == [DISK]
    assert {failure.reason for failure in failures} == {Reason.BACKEND_UNAVAILABLE}
    assert (server.targets, server.disks) == ({}, {})


async def test_a_detach_waits_for_the_logout(scene: Scene) -> None:
    """New logins are refused meanwhile, by another account; who it is, is told."""
    await scene.attach()
    scene.server.logged_in = {INITIATOR}
    for _ in range(2):
        with pytest.raises(TemporaryError, match=f"{INITIATOR} from 10.0.0.9") as waiting:
            await scene.detach()
        assert waiting.value.reason == Reason.INITIATOR_LOGGED_IN
    assert scene.server.targets[TARGET]["clients"][INITIATOR]["auth"]["username"] == "colobus-shut"
    assert scene.server.calls[len(MAKING) :] == UNMAKING[:1]
    seen = (await scene.store.gateway.targets([TARGET]))[TARGET]
    export = KIT.export("bigtop", ONE, VOLUME, INITIATOR)
    assert not export.is_offered_by(seen)
    assert [session.initiator_iqn for session in seen.sessions] == [INITIATOR]
    await scene.attach()
    assert export.is_offered_by((await scene.store.gateway.targets())[TARGET])
    scene.server.logged_in = set()
    await scene.detach()
    assert scene.server.targets == {}


async def test_force_takes_the_target_off_its_hosts(scene: Scene) -> None:
    """The API ends no session otherwise."""
    await scene.attach()
    scene.server.logged_in = {INITIATOR}
    await scene.detach(force=True)
    assert (scene.server.targets, scene.server.disks) == ({}, {})


async def test_a_volume_has_one_writer(scene: Scene) -> None:
    """The second attachment is told of the first."""
    await scene.attach()
    with pytest.raises(PermanentError, match=ONE) as refused:
        await scene.attach(OTHER)
    assert refused.value.reason == Reason.IN_USE


async def test_a_disk_that_nobody_maps_is_let_go(scene: Scene) -> None:
    """A worker was killed between the two; the volume can be deleted all the same."""
    scene.server.disks[DISK] = {}
    await scene.store.gateway.release(IMAGE)
    assert scene.server.disks == {}
    await scene.attach()
    await scene.store.gateway.release(IMAGE)
    assert DISK in scene.server.disks


async def test_a_gateway_that_refuses_us_is_the_operators(scene: Scene, tmp_path: Path) -> None:
    """Retried, until the password is right."""
    scene.server.answers = [(401, "username/password mismatch with the configuration file")]
    with pytest.raises(TemporaryError, match="mismatch") as refused:
        await scene.store.gateway.targets()
    assert refused.value.reason == Reason.BACKEND_REFUSED
    with pytest.raises(ConfigurationError, match="nowhere"):
        CephIscsiApi(
            "rack",
            CephIscsiAccess(
                urls=("http://a:1",),
                username="admin",
                password_file=tmp_path / "nowhere",
                portals=scene.access.portals,
            ),
            seconds=1,
        )


async def test_no_gateway_at_all_is_unavailable(tmp_path: Path) -> None:
    """For now."""
    api = CephIscsiApi("rack", access_of(tmp_path, "http://127.0.0.1:1"), seconds=1)
    with pytest.raises(BackendUnavailable, match="No gateway of store rack"):
        await api.get(Deadline.after(5), "config")
    await api.close()


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, f"Disk {DISK} cannot be used because it is already mapped on target x", Conflict),
        (400, "Gateway already exists in configuration", Conflict),
        (400, "IP address already defined to the configuration", Conflict),
        (400, f"A client with the name '{INITIATOR}' is already defined", Conflict),
        (400, "Client 'x' is logged in to y- unable to delete until it's logged out", Conflict),
        (400, f"Unable to delete {DISK} - allocated to {INITIATOR}", Conflict),
        (400, f"{INITIATOR} is not defined yet - nothing to delete", NotFound),
        (400, f"Disk {DISK} is not defined in the configuration", NotFound),
        (400, f"Image {DISK} does not exist", NotFound),
        (400, "disk not mapped to client", NotFound),
        (400, "Disk limit of 256 reached.", TemporaryError),
        (400, "at least 2 gateways must exist before disk mapping", BackendUnavailable),
        (
            400,
            "gw1 cannot be used to perform this operation because it is not defined within"
            " the gateways configuration",
            BackendUnavailable,
        ),
        (400, "Invalid password", Refused),
        (404, "Target x does not exist", NotFound),
        (500, f"Unhandled exception: '{TARGET}'", NotFound),
        (500, "Unhandled exception: [Errno 5] Input/output error", OutcomeUnknown),
        (500, "Invalid iqn eui.0123456789abcdef - WWN not valid", Refused),
        (500, "client auth failed on gw2, applied to gw1, aborted . x", BackendUnavailable),
        (503, "failed, gateway(s) unavailable:gw2(iscsi UP, api DOWN)", BackendUnavailable),
        (401, "Missing credentials", TemporaryError),
        (403, "API access not available to 10.0.0.9", TemporaryError),
    ],
)
def test_each_answer_has_its_meaning(status: int, message: str, kind: type[Exception]) -> None:
    """In the API's own words."""
    error = fault_of(status, message, changes=True)
    assert type(error) is kind
    assert message in error.detail


async def test_the_hosts_are_told_that_a_volume_has_grown(scene: Scene) -> None:
    """Those who are logged in learn of it too; of what isn't offered nobody is told."""
    await scene.store.gateway.show_size(IMAGE, 3 << 30)
    assert scene.server.calls == []
    await scene.attach()
    await scene.store.gateway.show_size(IMAGE, 3 << 30)
    assert scene.server.calls[-1] == f"PUT disk/{DISK}"
    assert scene.server.forms[-1] == {"mode": "resize", "size": "3G"}
    found = (await scene.store.gateway.targets())[TARGET]
    assert not found.is_outdated([RbdImage(IMAGE, 3 << 30)])
