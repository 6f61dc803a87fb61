"""What a cluster has outside of itself goes before it, within bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.k8s_worker.backend import Access
from services.k8s_worker.draining import DRAIN_SECONDS, SILENT_SECONDS, drained
from services.k8s_worker.lookout import Lookout
from shared.contract.messages import DeprovisionCluster
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import TemporaryError
from tests.unit.k8s_worker.magnum import Magnum, Server

WEB = "Service default/web"


class House:
    """A cluster whose API server the test has in its hands."""

    def __init__(self, **shown: Any) -> None:
        self.magnum = Magnum()
        self.cluster = self.magnum.add("c", {}, **{"api_address": "https://c:6443", **shown})
        self.left: list[list[str]] = []
        self.silent = False
        self.lookout = Lookout(self._connect)
        self.connected = 0

    def _connect(self, access: Access) -> Server:
        self.connected += 1
        server = Server(access)
        server.left, server.refuses = self.left, self.silent
        return server

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
