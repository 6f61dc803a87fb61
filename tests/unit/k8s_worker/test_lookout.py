"""Connections to clusters are kept, and no cluster holds up those who look at others."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.k8s_worker import looking
from services.k8s_worker import lookout as room
from services.k8s_worker.backend import Access, Look, Unanswered
from services.k8s_worker.looking import NotYet
from services.k8s_worker.lookout import Lookout
from shared.contract.problems import Reason
from shared.runtime.errors import BackendUnavailable, TemporaryError
from shared.worker.errors import Refused
from tests.support.conditions import eventually
from tests.unit.k8s_worker.magnum import Magnum, Server

API = "https://203.0.113.20:6443"


class House:
    """A lookout whose servers the test has in its hands, and its clock: it stands.

    So nothing takes long that a test does not mean to; a pause of the machine would be a silence.
    """

    def __init__(self, most: int = 2) -> None:
        self.magnum = Magnum()
        self.servers: list[Server] = []
        self.now = 0.0
        self.lookout = Lookout(self._connect, most, clock=lambda: self.now)
        self.answering: asyncio.Event | None = None

    def _connect(self, access: Access) -> Server:
        server = Server(access)
        server.answering = self.answering
        self.servers.append(server)
        return server

    def add(self, name: str = "c", **shown: Any) -> Any:
        return self.magnum.add(name, {}, **{"api_address": API, **shown})

    def closed(self) -> list[bool]:
        return [one.closed for one in self.servers]


async def test_a_connection_is_kept_and_the_longest_unused_goes() -> None:
    """A certificate is signed once for many looks."""
    house = House()
    cluster = house.add()
    await house.lookout.look(house.magnum, cluster)
    await house.lookout.look(house.magnum, cluster)
    assert house.magnum.signatures == 1
    for number in (1, 2):
        await house.lookout.look(house.magnum, house.add(f"c-{number}"))
    assert house.closed() == [True, False, False]
    await house.lookout.close()
    assert all(house.closed())


async def test_what_was_signed_while_it_was_made_opens_it_where_it_is_then() -> None:
    """Asked for once, however often it is looked at meanwhile."""
    house = House()
    cluster = house.add()
    for _ in range(2):
        house.lookout.prepare(house.magnum, replace(cluster, api_address=""))
    await house.lookout.look(house.magnum, cluster)
    house.lookout.prepare(house.magnum, cluster)
    await house.lookout.close()
    assert (house.magnum.signatures, house.servers[0].access.address) == (1, API)


async def test_what_can_not_be_signed_while_it_is_made_is_tried_a_few_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And then for its first look."""
    house = House()
    cluster = house.add()
    tried: asyncio.Queue[None] = asyncio.Queue()
    tries = 0

    async def refused(*_: object) -> Access:
        nonlocal tries
        tries += 1
        tried.put_nowait(None)
        raise TemporaryError("not yet", reason=Reason.BACKEND_REFUSED)

    with monkeypatch.context() as early:
        early.setattr(room, "access_or_silence", refused)
        for _ in range(room.TRIES):
            house.lookout.prepare(house.magnum, cluster)
            await asyncio.wait_for(tried.get(), 60)
        house.lookout.prepare(house.magnum, cluster)
    await house.lookout.look(house.magnum, cluster)
    assert (tries, house.magnum.signatures) == (room.TRIES, 1)


@pytest.mark.parametrize("end", ["forgotten", "one too many", "closed"])
async def test_what_is_prepared_for_nobody_any_more_ends(
    monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """A key that nobody needs is not kept, and a Magnum that is silent not waited for."""
    house = House(most=1)
    ended = asyncio.Event()

    async def silent(*_: object) -> Access:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    monkeypatch.setattr(room, "access_or_silence", silent)
    first = house.add("first")
    house.lookout.prepare(house.magnum, first)
    await asyncio.sleep(0)  # it begins
    if end == "forgotten":
        await house.lookout.forget(first.id)
    elif end == "one too many":
        house.lookout.prepare(house.magnum, house.add("second"))
    else:
        await house.lookout.close()
    await asyncio.wait_for(ended.wait(), 60)
    await house.lookout.close()


async def test_a_certificate_that_is_not_taken_is_replaced_but_not_at_each_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cluster's authority was replaced; or its server is wrong, and would be for hours."""
    house = House()
    cluster = house.add()
    await house.lookout.look(house.magnum, cluster)
    house.servers[0].refuses = True
    for _ in range(3):
        with pytest.raises(Unanswered):
            await house.lookout.look(house.magnum, cluster)
    assert (house.magnum.signatures, house.closed()) == (1, [False])
    monkeypatch.setattr(room, "YOUNG", timedelta())
    with pytest.raises(Unanswered):
        await house.lookout.look(house.magnum, cluster)
    assert house.closed() == [True]
    await house.lookout.look(house.magnum, cluster)
    assert house.magnum.signatures == 2


async def test_a_cluster_that_magnum_gives_no_certificate_for_is_unanswered() -> None:
    """So it says why it is not active, or degraded; a Magnum that is away says nothing of it."""
    house = House()
    cluster = house.add()
    house.magnum.unsigned = Refused("The authority is lost.")
    with pytest.raises(Unanswered, match=r"no certificate .* The authority is lost\."):
        await house.lookout.look(house.magnum, cluster)
    house.magnum.unsigned = BackendUnavailable("away")
    with pytest.raises(BackendUnavailable):
        await house.lookout.look(house.magnum, cluster)
    house.magnum.unsigned = None
    assert (await house.lookout.look(house.magnum, cluster))[1].version == "v1.20.2"


async def test_what_is_in_use_is_not_closed() -> None:
    """A look that is under way ends, however many others come."""
    house = House(most=1)
    house.answering = asyncio.Event()
    first = asyncio.create_task(house.lookout.look(house.magnum, house.add()))
    await eventually(_looked(house, 1))
    others = [
        asyncio.create_task(house.lookout.look(house.magnum, house.add(f"c-{number}")))
        for number in range(3)
    ]
    await eventually(_looked(house, 4))
    assert not any(house.closed())
    house.answering.set()
    assert (await first)[1].version == "v1.20.2"
    await asyncio.gather(*others)
    assert house.closed() == [True, True, True, False]


async def test_only_so_many_looks_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many clusters one inspection asks of."""
    monkeypatch.setattr(looking, "AT_ONCE", 3)
    house = House(most=20)
    house.answering = asyncio.Event()
    looks = [
        asyncio.create_task(house.lookout.look(house.magnum, house.add(f"c-{number}")))
        for number in range(9)
    ]
    await eventually(_looked(house, 3))
    assert len(house.servers) == 3
    house.answering.set()
    await asyncio.gather(*looks)
    assert sum(one.looks for one in house.servers) == 9


async def test_one_tenants_silent_clusters_leave_places_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many are being made at once."""
    monkeypatch.setattr(looking, "OF_A_PROJECT", 2)
    house = House(most=20)
    house.answering = asyncio.Event()
    looks = [
        asyncio.create_task(house.lookout.look(house.magnum, house.add(f"c-{number}")))
        for number in range(5)
    ]
    await eventually(_looked(house, 2))
    other = Magnum(tenant="littletop", authority_of_all=house.magnum.authority_of_all)
    theirs = other.add("theirs", {}, api_address=API)
    their_look = asyncio.create_task(house.lookout.look(other, replace(theirs, id="m-99")))
    other.kept["m-99"] = theirs
    await eventually(_looked(house, 3))
    house.answering.set()
    await asyncio.gather(*looks, their_look)


async def test_one_that_was_silent_is_waited_for_a_short_time_and_its_look_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slow answer is no second silence: nothing is said until it is there, and then that."""
    monkeypatch.setattr(room, "SHORT", 0.05)
    house = House()
    cluster = house.add()
    await house.lookout.look(house.magnum, cluster)
    (server,) = house.servers
    server.refuses = True
    with pytest.raises(Unanswered):
        await house.lookout.look(house.magnum, cluster)
    server.refuses, server.answering = False, asyncio.Event()
    for _ in range(3):
        with pytest.raises(NotYet):
            await house.lookout.look(house.magnum, cluster)
    assert server.looks == 3  # the third one is still under way
    server.answering.set()

    async def told() -> tuple[datetime, Look] | None:
        try:
            return await house.lookout.look(house.magnum, cluster)
        except NotYet:  # the machine has paused for longer than the short time
            return None

    begun_at, seen = await eventually(told)
    assert (server.looks, seen.version) == (3, "v1.20.2")
    again_at, _ = await house.lookout.look(house.magnum, cluster)
    assert again_at > begun_at


async def test_one_silence_is_told_once_and_then_it_is_left_alone_for_a_while() -> None:
    """Else two inspections would make two silences of it, and each would wait for it."""
    house = House()
    house.answering = asyncio.Event()
    cluster = house.add()
    looks = [asyncio.create_task(house.lookout.look(house.magnum, cluster)) for _ in range(2)]
    await eventually(_looked(house, 1))
    (server,) = house.servers
    server.refuses = True
    house.answering.set()
    ends = await asyncio.gather(*looks, return_exceptions=True)
    assert {type(one) for one in ends} == {Unanswered, NotYet}


async def test_who_was_silent_is_left_alone_for_as_long_and_who_refuses_at_once_is_not() -> None:
    """So half of its time a silent server takes no place."""
    house = House()
    house.answering = asyncio.Event()
    cluster = house.add()
    look = asyncio.create_task(house.lookout.look(house.magnum, cluster))
    await eventually(_looked(house, 1))
    (server,) = house.servers
    server.refuses = True
    house.now = 5.0
    house.answering.set()
    with pytest.raises(Unanswered):
        await look
    house.now = 9.9
    with pytest.raises(NotYet):
        await house.lookout.look(house.magnum, cluster)
    assert server.looks == 1
    house.now = 10.0
    for _ in range(2):
        with pytest.raises(Unanswered):
            await house.lookout.look(house.magnum, cluster)


async def test_looks_that_are_under_way_end_with_the_lookout() -> None:
    """A worker that stops waits for nobody."""
    house = House()
    house.answering = asyncio.Event()
    look = asyncio.create_task(house.lookout.look(house.magnum, house.add()))
    await eventually(_looked(house, 1))
    await house.lookout.close()
    with pytest.raises(asyncio.CancelledError):
        await look
    assert house.closed() == [True]


def _looked(house: House, count: int) -> Any:
    async def there() -> bool:
        return sum(one.looks for one in house.servers) == count

    return there
