"""Censuses on the real ledger: what is ordered to go, and what is only told of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.scheduler import census, measuring
from services.scheduler.metrics import HOLDINGS, ORPHANS, ORPHANS_REMOVED
from shared.bus import RejectedMessage
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    CensusTaken,
    CommandFailed,
    Holding,
    OrphanRemoved,
    RemoveOrphan,
    TakeCensus,
)
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Verb
from tests.integration.scheduler.desk import Desk, desk

START = datetime.now(UTC) - timedelta(hours=1)
CLOUD = "devcloud"


@pytest.fixture
async def ledger(ledger_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """The scheduler's rooms on an empty ledger."""
    async with desk(ledger_dsn, tmp_path, {"bigtop": {"vms": 5}, "openlab": {"vms": 5}}) as made:
        yield made


async def ended(ledger: Desk) -> str:
    """A VM that was deleted long ago."""
    vm = await ledger.create()
    await ledger.request(Verb.DELETE, vm, "bigtop")
    assert (await ledger.state(vm)).phase.value == "deleted"
    await ledger.move_back(vm, START - timedelta(hours=1))
    return vm


def holding(what: str, id: str, vm: str | None, tenant: str = "bigtop") -> Holding:
    """One thing of a VM."""
    return Holding(what=what, id=id, place=CLOUD, tenant=tenant, resource_id=vm, name=id)


async def take(
    ledger: Desk, minute: int, holdings: Sequence[Holding], *, part: int = 1, parts: int = 1
) -> list[RemoveOrphan]:
    """A part of the census of that minute comes; return what is ordered then."""
    taken = CensusTaken(
        place=CLOUD,
        taken_at=START + timedelta(minutes=minute),
        holdings=tuple(holdings),
        part=part,
        parts=parts,
    )
    await ledger.event(taken, f"vm_worker/{CLOUD}/{part}", "colobus")
    return _ordered(ledger)


def _ordered(ledger: Desk) -> list[RemoveOrphan]:
    orders = [one.message for one in ledger.take("RemoveOrphan")]
    return [one for one in orders if isinstance(one, RemoveOrphan)]


def _ids(orders: Sequence[RemoveOrphan]) -> list[str]:
    return sorted(one.object_id for one in orders)


def _removed() -> float:
    return sum(
        sample.value
        for metric in ORPHANS_REMOVED.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


async def test_each_cloud_is_asked_for_a_census(ledger: Desk) -> None:
    """One command per worker and cloud, that is of no use after the next one."""
    await census.order_censuses(ledger.context)
    (command,) = ledger.take("TakeCensus")
    assert command.message == TakeCensus(place=CLOUD)
    assert (command.routing_key, command.envelope.tenant) == ("vm_worker.TakeCensus", "colobus")
    assert command.envelope.not_after is not None
    assert command.envelope.not_after < datetime.now(UTC) + timedelta(seconds=61)


async def test_a_worker_beside_others_is_asked_once_it_has_made_something(ledger: Desk) -> None:
    """Where nobody has asked for a stack there may be no stack_worker to answer."""
    await ledger.create(vm=new_id("stack"), spec={"template_name": "two-vms"})
    await census.order_censuses(ledger.context)
    asked = {one.routing_key for one in ledger.take("TakeCensus")}
    assert asked == {"vm_worker.TakeCensus", "stack_worker.TakeCensus"}


async def test_two_workers_censuses_of_one_place_leave_each_others_things_alone(
    ledger: Desk,
) -> None:
    """Each tells of its own: what only the other one shows is not gone for that."""
    vm, stack = await ended(ledger), new_id("stack")
    for minute in range(2):
        moment = START + timedelta(minutes=minute)
        port, held = holding("port", "p", vm), holding("stack", "s", stack)
        servers = CensusTaken(place=CLOUD, taken_at=moment, holdings=(port,))
        stacks = CensusTaken(place=CLOUD, taken_at=moment + timedelta(seconds=30), holdings=(held,))
        await ledger.event(stacks, f"stack_worker/{CLOUD}", "colobus", word="stack")
        await ledger.event(servers, f"vm_worker/{CLOUD}", "colobus", word="vm")
    assert _ids(_ordered(ledger)) == ["p"]
    async with ledger.context.database.connection() as connection:
        rows = await connection.fetch("SELECT what, seen_before FROM holdings ORDER BY what")
    assert [(row["what"], row["seen_before"] is not None) for row in rows] == [
        ("port", True),
        ("stack", True),
    ]


async def test_what_two_censuses_show_of_a_deleted_vm_is_ordered_to_go_in_order(
    ledger: Desk,
) -> None:
    """The floating IP first, then the server, then its port; each when what is before it went."""
    vm = await ended(ledger)
    things = [holding("server", "s", vm), holding("port", "p", vm), holding("floating_ip", "f", vm)]
    assert await take(ledger, 0, things) == []
    before = _removed()
    (order,) = await take(ledger, 1, things)
    assert order == RemoveOrphan(place=CLOUD, what="floating_ip", object_id="f", resource_id=vm)
    gone = OrphanRemoved(place=CLOUD, what="floating_ip", object_id="f")
    await ledger.event(gone, vm, "bigtop")
    assert _ids(_ordered(ledger)) == ["s"]
    await ledger.event(gone, vm, "bigtop")
    assert _ordered(ledger) == []
    assert _ids(await take(ledger, 2, [things[1]])) == ["p"]
    assert await take(ledger, 3, []) == []
    assert _removed() == before + 3


async def test_an_order_goes_to_the_project_that_holds_the_thing(ledger: Desk) -> None:
    """The worker acts there as that tenant, and within a bound of time."""
    vm = await ended(ledger)
    for minute in (0, 1):
        await ledger.event(
            CensusTaken(
                place=CLOUD,
                taken_at=START + timedelta(minutes=minute),
                holdings=(holding("port", "p", vm),),
            ),
            "x",
            "colobus",
        )
    (command,) = ledger.take("RemoveOrphan")
    assert (command.routing_key, command.envelope.subject) == ("vm_worker.RemoveOrphan", vm)
    assert command.envelope.tenant == "bigtop"
    assert command.envelope.not_after is not None


async def test_the_same_census_twice_is_one(ledger: Desk) -> None:
    """Neither a second delivery nor an older census, come late, counts."""
    vm = await ended(ledger)
    things = [holding("port", "p", vm)]
    for _ in range(3):
        assert await take(ledger, 5, things) == []
    assert await take(ledger, 4, things) == []
    assert _ids(await take(ledger, 6, things)) == ["p"]


async def test_a_census_counts_when_all_its_parts_are_here(ledger: Desk) -> None:
    """In any order, each as often as it comes; nothing is forgotten before."""
    vm = await ended(ledger)
    left, right = [holding("port", "p", vm)], [holding("port", "q", vm)]
    await take(ledger, 0, [*left, *right])
    assert await take(ledger, 1, right, part=2, parts=2) == []
    assert await take(ledger, 1, right, part=2, parts=2) == []
    assert _ids(await take(ledger, 1, left, part=1, parts=2)) == ["p", "q"]


async def test_half_a_census_is_no_loss(ledger: Desk) -> None:
    """The worker died between two parts: what the missing one would show stays known."""
    vm = await ended(ledger)
    things = [holding("port", "p", vm), holding("port", "q", vm)]
    await take(ledger, 0, things)
    await take(ledger, 1, [things[0]], part=1, parts=2)
    assert _ids(await take(ledger, 2, things)) == ["p", "q"]


async def test_what_is_alive_unknown_or_a_strangers_stays(ledger: Desk) -> None:
    """Over many censuses: none of it is ever ordered to go, the unknown is counted."""
    waiting = await ledger.create()
    deleted = await ended(ledger)
    things = [
        holding("server", "s-1", waiting),
        holding("server", "s-2", new_id("vm")),
        holding("server", "s-3", deleted, tenant="openlab"),
        holding("network", "n-1", None),
        holding("router", "r-1", deleted),
    ]
    for minute in range(6):
        assert await take(ledger, minute, things) == []
    await measuring.measure(ledger.context)
    assert HOLDINGS.labels(CLOUD, "server")._value.get() == 3
    assert ORPHANS.labels(CLOUD, "server", "unknown")._value.get() == 2
    assert ORPHANS.labels(CLOUD, "router", "unknown")._value.get() == 1


async def test_the_unknown_is_told_of_with_the_clouds_own_words(ledger: Desk) -> None:
    """Nobody removes it but the operator, who has to find out what it is; each thing once."""
    vm = new_id("vm")
    thing = Holding(
        what="server",
        id="s-1",
        place=CLOUD,
        tenant="bigtop",
        resource_id=vm,
        name="build-7",
        status="ACTIVE",
    )
    with capture_logs() as lines:
        for minute in range(3):
            await take(ledger, minute, [thing])
    told = [line["objects"] for line in lines if line["event"] == "things nobody knows"]
    assert told == [[f"{CLOUD}/server/s-1 of {vm} (build-7, ACTIVE)"]]


async def test_what_becomes_another_resources_is_seen_anew(ledger: Desk) -> None:
    """Marks that were changed between two censuses: neither name has been seen twice."""
    first, second = await ended(ledger), await ended(ledger)
    await take(ledger, 0, [holding("port", "p", first)])
    assert await take(ledger, 1, [holding("port", "p", second)]) == []
    assert _ids(await take(ledger, 2, [holding("port", "p", second)])) == ["p"]


async def test_a_failed_removal_is_not_ordered_with_every_census(ledger: Desk) -> None:
    """The worker's refusal changes nothing; the next order comes after a pause."""
    vm = await ended(ledger)
    things = [holding("port", "p", vm)]
    await take(ledger, 0, things)
    assert _ids(await take(ledger, 1, things)) == ["p"]
    problem = Problem(title="x", detail="in use", reason=Reason.BACKEND_REFUSED)
    failed = CommandFailed(command="RemoveOrphan", problem=problem, retryable=True)
    await ledger.event(failed, vm, "bigtop")
    for minute in range(2, 6):
        assert await take(ledger, minute, things) == []
    async with ledger.database.connection() as connection:
        await connection.execute("UPDATE holdings SET order_after = now() - interval '1 second'")
    assert _ids(await take(ledger, 7, things)) == ["p"]


async def test_a_census_whose_vms_end_meanwhile_removes_nothing(ledger: Desk) -> None:
    """What a VM held until just now is its workflow's to remove, and may still be on show."""
    vm = await ended(ledger)
    await ledger.move_back(vm, datetime.now(UTC))
    for minute in range(5):
        assert await take(ledger, minute, [holding("server", "s", vm)]) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"part": 0},
        {"part": 2, "parts": 1},
        {"parts": 2**31},
        {"taken_at": datetime.min.replace(tzinfo=UTC)},
        {"taken_at": datetime.now(UTC) + timedelta(days=1)},
        {"place": "x" * 300},
        {"holdings": (holding("server", "x" * 300, None),)},
    ],
)
async def test_nonsense_is_refused(ledger: Desk, fields: dict[str, object]) -> None:
    """It goes to the dead letters, and no row is written."""
    good = {"place": CLOUD, "taken_at": START, "holdings": ()}
    with pytest.raises(RejectedMessage):
        await ledger.event(CensusTaken(**{**good, **fields}), "x", "colobus")  # type: ignore[arg-type]
