"""What a cluster has outside of itself goes before it, within bounds."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.k8s_worker.app_backend import AppLook
from services.k8s_worker.backend import Access
from services.k8s_worker.draining import (
    DRAIN_SECONDS,
    SILENT_SECONDS,
    drained,
    left_by_another,
)
from services.k8s_worker.lookout import Lookout
from shared.contract.messages import DeprovisionCluster
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import (
    BackendUnavailable,
    ColobusError,
    OutcomeUnknown,
    TemporaryError,
)
from shared.worker.errors import NotFound, Refused
from tests.unit.k8s_worker.magnum import Magnum, Server

WEB, APP = "Service default/web", "app-1"


class House:
    """A cluster whose API server the test has in its hands."""

    def __init__(self, **shown: Any) -> None:
        self.magnum = Magnum()
        self.cluster = self.magnum.add("c", {}, **{"api_address": "https://c:6443", **shown})
        self.left: list[list[str]] = []
        self.silent = False
        self.apps: set[str] = set()
        self.lookout = Lookout(self._connect)
        self.going: set[str] = set()
        self.kept: set[str] = set()
        self.hanging: asyncio.Event | None = None
        self.servers: list[Server] = []

    @property
    def connected(self) -> int:
        return len(self.servers)

    def removed(self) -> list[str]:
        return [one for server in self.servers for one in server.removed]

    def _connect(self, access: Access) -> Server:
        server = Server(access)
        self.servers.append(server)
        server.left, server.refuses = self.left, self.silent
        server.app_looks = {one: AppLook() for one in self.apps}
        server.going, server.kept, server.listing = self.going, self.kept, self.hanging
        return server

    async def told(self, *, drain: bool = True, **since: Any) -> list[str]:
        """By one who has ordered its end, and was not heard."""
        order = DeprovisionCluster(cloud="devcloud", drain=drain, **since)
        time = Deadline.after(60)
        return await left_by_another(self.magnum, self.lookout, self.cluster, order, time)

    async def drained(self, *, drain: bool = True, **since: Any) -> list[str]:
        order = DeprovisionCluster(cloud="devcloud", drain=drain, **since)
        return await drained(self.magnum, self.lookout, self.cluster, order, Deadline.after(60))


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


async def test_a_cluster_without_anything_outside_goes_at_once() -> None:
    """The usual case."""
    assert await House().drained() == []


async def test_it_waits_until_all_has_gone() -> None:
    """Saying what it waits for."""
    house = House()
    house.left = [[WEB]]
    with pytest.raises(TemporaryError, match=WEB) as waits:
        await house.drained()
    assert waits.value.reason == Reason.IN_USE
    assert await house.drained(draining_since=ago(1)) == []


async def test_after_some_time_it_goes_all_the_same_and_says_what_is_left() -> None:
    """A delete always ends; only so many are named while it waits."""
    house = House()
    house.left = [[WEB] * 12, [WEB]]
    with pytest.raises(TemporaryError, match="web and 2 more"):
        await house.drained(draining_since=ago(DRAIN_SECONDS - 5))
    assert await house.drained(draining_since=ago(DRAIN_SECONDS + 1)) == [WEB]


async def test_a_dead_api_server_is_waited_for_a_moment_only() -> None:
    """It may be a short outage; what the cluster had is then not known."""
    house = House()
    house.silent = True
    with pytest.raises(TemporaryError, match="can't be reached") as waits:
        await house.drained(silent_since=ago(SILENT_SECONDS - 5))
    assert waits.value.reason == Reason.CLUSTER_NOT_READY
    over = await house.drained(silent_since=ago(SILENT_SECONDS + 1))
    assert over == ["whatever it had: It can't be reached."]


LOST = NotFound("X509KeyPair 7 could not be found.")


@pytest.mark.parametrize(
    "fault",
    [LOST, Refused("no"), TemporaryError("can't read it", reason=Reason.BACKEND_REFUSED)],
)
@pytest.mark.parametrize("force", [False, True])
async def test_without_a_certificate_it_is_as_with_a_dead_api_server(
    fault: ColobusError, force: bool
) -> None:
    """Magnum has lost the cluster's authority: nobody gets in any more, and it would delete it."""
    house = House()
    house.magnum.unsigned = fault
    words = f"Magnum gives no certificate for its API server: {fault.detail}"
    for since in (None, ago(SILENT_SECONDS - 5)):
        with pytest.raises(TemporaryError, match=words) as waits:
            await house.drained(silent_since=since, force=force)
        assert waits.value.reason == Reason.CLUSTER_NOT_READY
    over = await house.drained(silent_since=ago(SILENT_SECONDS + 1), force=force)
    assert over == [f"whatever it had: {words}"]
    assert house.connected == 0


@pytest.mark.parametrize("fault", [BackendUnavailable("away"), OutcomeUnknown("no answer")])
async def test_an_outage_of_magnums_is_waited_for_however_long(fault: TemporaryError) -> None:
    """It says nothing of the cluster, which may have balancers and be well."""
    house = House()
    house.magnum.unsigned = fault
    with pytest.raises(TemporaryError) as waits:
        await house.drained(silent_since=ago(5 * 3600))
    assert waits.value is fault


async def test_the_first_try_is_never_the_last() -> None:
    """However long the order was held up before: it had only just ordered them away."""
    house = House()
    house.left = [[WEB]]
    with pytest.raises(TemporaryError, match=WEB):
        await house.drained(silent_since=ago(1000))
    dead = House()
    dead.silent = True
    with pytest.raises(TemporaryError, match="can't be reached"):
        await dead.drained(draining_since=ago(1000))


@pytest.mark.parametrize("shown", [{"status": "CREATE_FAILED"}, {"api_address": ""}])
async def test_what_never_lived_is_not_asked(shown: dict[str, Any]) -> None:
    """Nor what the scheduler knows never to have been active."""
    house = House(**shown)
    assert await house.drained() == []
    other = House()
    assert await other.drained(drain=False) == []
    assert house.connected == other.connected == 0


@pytest.mark.parametrize("silent", [True, False])
async def test_apps_hold_a_cluster_up_for_as_long_as_they_live(silent: bool) -> None:
    """However long that is, by the ledger alone: a silent cluster may be full of them."""
    house = House()
    house.silent = silent
    held_up: tuple[dict[str, Any], ...] = (
        {"draining_since": ago(1000)},
        {"silent_since": ago(1000)},
    )
    for since in held_up:
        with pytest.raises(TemporaryError, match=f"c is in use: {APP}") as waits:
            await house.drained(apps=(APP,), **since)
        assert waits.value.reason == Reason.HAS_APPS
    assert house.connected == 0


async def test_by_force_apps_go_with_what_else_goes_first() -> None:
    """And so do those that are nobody's any more, without force."""
    orders: tuple[dict[str, Any], ...] = ({"force": True, "apps": (APP,)}, {"apps": ()})
    for order in orders:
        house = House()
        house.apps = {APP}
        with pytest.raises(TemporaryError, match=f"Going before the cluster: {APP}") as going:
            await house.drained(**order)
        assert going.value.reason == Reason.IN_USE
        assert await house.drained(**order) == []


async def test_an_app_that_the_ledger_has_ended_holds_up_a_delete_for_some_time_only() -> None:
    """Its namespace may never go, whatever somebody did to it."""
    house = House()
    house.apps, house.going = {APP}, {APP}
    with pytest.raises(TemporaryError, match=f"Going before the cluster: {APP}"):
        await house.drained(apps=())
    left = await house.drained(apps=(), draining_since=ago(DRAIN_SECONDS + 1))
    assert left == [APP]
    assert house.removed() == []


async def test_where_the_ledger_has_not_said_who_lives_there_the_cluster_is_asked() -> None:
    """Those that are going are none of them."""
    house = House()
    house.apps = {APP, "app-2"}
    house.going = {"app-2"}
    with pytest.raises(TemporaryError, match=f"c is in use: {APP}\\.") as waits:
        await house.drained()
    assert waits.value.reason == Reason.HAS_APPS


async def test_an_app_that_is_not_let_go_keeps_nothing_else() -> None:
    """The others go, what is outside is drained, and it is named."""
    house = House()
    house.apps, house.kept = {APP, "app-2"}, {APP}
    house.left = [[WEB]]
    with pytest.raises(TemporaryError, match=f"{APP}, app-2, {WEB}"):
        await house.drained(force=True)
    assert house.removed() == ["app-2"]
    assert await house.drained(force=True, draining_since=ago(DRAIN_SECONDS + 1)) == [APP]


async def test_apps_that_hang_leave_time_to_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """One try is bounded as a whole."""
    monkeypatch.setattr("services.k8s_worker.draining.SECONDS", 3.0)
    house = House()
    house.hanging = asyncio.Event()
    house.left = [[WEB]]
    with pytest.raises(TemporaryError, match=f"{WEB}"):
        await house.drained(force=True)


async def test_what_was_given_up_is_told_though_its_worker_died_before_it_could() -> None:
    """It is looked for again, apps among it; where nobody answers any more that is told."""
    house = House(status="DELETE_IN_PROGRESS")
    house.apps, house.left = {APP}, [[WEB], [WEB]]
    assert await house.told(draining_since=ago(DRAIN_SECONDS + 1)) == [APP, WEB]
    assert await house.told(silent_since=ago(SILENT_SECONDS + 1)) == [WEB]
    dead = House(status="DELETE_IN_PROGRESS")
    dead.silent = True
    words = ["whatever it had: It can't be reached."]
    assert await dead.told(silent_since=ago(SILENT_SECONDS + 1)) == words
    dead.magnum.unsigned = BackendUnavailable("away")
    dead.lookout = Lookout(Server)
    words = ["whatever it had: away"]
    assert await dead.told(silent_since=ago(SILENT_SECONDS + 1)) == words


async def test_of_one_that_goes_in_time_nothing_is_looked_for() -> None:
    """What was to go before it has gone, or it never lived."""
    house = House(status="DELETE_IN_PROGRESS")
    house.left = [[WEB]]
    assert await house.told() == []
    assert await house.told(draining_since=ago(DRAIN_SECONDS - 5)) == []
    assert await house.told(drain=False, draining_since=ago(1000)) == []
    assert house.connected == 0
