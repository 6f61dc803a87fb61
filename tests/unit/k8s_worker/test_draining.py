"""What a cluster has outside of itself goes before it, within bounds."""

from __future__ import annotations

from typing import Any

import pytest

from services.k8s_worker.backend import Access
from services.k8s_worker.draining import TRIES, UNANSWERED_TRIES, drained
from services.k8s_worker.lookout import Lookout
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

    async def drained(self, tries: int | None) -> list[str]:
        return await drained(self.magnum, self.lookout, self.cluster, tries, Deadline.after(60))


async def test_a_cluster_without_anything_outside_goes_at_once() -> None:
    """The usual case."""
    assert await House().drained(0) == []


async def test_it_waits_until_all_has_gone() -> None:
    """Saying what it waits for."""
    house = House()
    house.left = [[WEB]]
    with pytest.raises(TemporaryError, match=WEB) as waits:
        await house.drained(0)
    assert waits.value.reason == Reason.IN_USE
    assert await house.drained(1) == []


async def test_after_some_time_it_goes_all_the_same_and_says_what_is_left() -> None:
    """A delete always ends."""
    house = House()
    house.left = [[WEB]]
    assert await house.drained(TRIES) == [WEB]


async def test_a_dead_api_server_is_waited_for_a_moment_only() -> None:
    """It may be a short outage; what the cluster had is then not known."""
    house = House()
    house.silent = True
    with pytest.raises(TemporaryError, match="can't be reached"):
        await house.drained(UNANSWERED_TRIES - 1)
    assert await house.drained(UNANSWERED_TRIES) == ["whatever it had: It can't be reached."]


@pytest.mark.parametrize("shown", [{"status": "CREATE_FAILED"}, {"api_address": ""}])
async def test_what_never_lived_is_not_asked(shown: dict[str, Any]) -> None:
    """Nor what the scheduler knows never to have been active."""
    house = House(**shown)
    assert await house.drained(0) == []
    other = House()
    assert await other.drained(None) == []
    assert house.connected == other.connected == 0
