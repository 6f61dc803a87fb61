"""The ceph-iscsi gateway where there are several hosts, or one fails: what is not recorded.

`test_recorded` has the rest, from the real one's own answers.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from services.iscsi_worker.ceph_iscsi_api import CephIscsiApi, fault_of
from services.iscsi_worker.stores_file import CephIscsiAccess
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import (
    BackendUnavailable,
    ConfigurationError,
    OutcomeUnknown,
    TemporaryError,
)
from shared.worker.errors import Conflict, Refused
from tests.unit.iscsi_worker.scene import (
    CLIENT,
    DISK,
    EXPORT,
    IMAGE,
    INITIATOR,
    TARGET,
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


async def test_force_takes_the_target_off_all_its_hosts(scene: Scene) -> None:
    """The API ends no session otherwise."""
    await scene.attach()
    scene.server.calls.clear()
    async with scene.logged_in(EXPORT):
        await scene.detach(force=True)
        removals = [f"DELETE gateway/{TARGET}/{host}" for host in scene.server.hosts]
        assert [call for call in scene.server.calls if "gateway/" in call] == removals
        assert (scene.server.targets, scene.server.disks) == ({}, {})


async def test_a_targets_first_host_is_the_one_that_answers(scene: Scene) -> None:
    """It makes the target on itself, whichever is named; the others follow in any order."""
    scene.server.hosts = dict(reversed(scene.server.hosts.items()))
    await scene.attach()
    assert scene.server.calls[1:3] == [f"PUT gateway/{TARGET}/{host}" for host in ("gw2", "gw1")]
    del scene.server.targets[TARGET]["portals"]["gw1"]
    scene.server.calls.clear()
    await scene.store.gateway.prepare(EXPORT)
    assert scene.server.calls == [f"PUT gateway/{TARGET}/gw1"]


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
        (400, "IP address already defined to the configuration", Conflict),
        (400, "Disk limit of 256 reached.", TemporaryError),
        (400, "Invalid password", Refused),
        (500, "Unhandled exception: [Errno 5] Input/output error", OutcomeUnknown),
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
