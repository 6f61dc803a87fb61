"""What is told of metals' nodes, on the real ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from services.scheduler import census, gate_rows, measuring, node_inventories, scarce_nodes
from services.scheduler.queues import Capacity, NodeInventory, Nodes
from shared.contract.messages import NodeCapacity, NodeInventoryTaken
from shared.contract.resources import Phase
from shared.runtime.metrics import REGISTRY
from tests.integration.scheduler.desk import desk
from tests.integration.scheduler.lab import WAITS, Lab
from tests.support.conditions import eventually

PLACES = {
    "stores": {"rack": {}},
    "metals": {
        name: {"store": "rack", "cloud": "devcloud", "archs": ["x86_64"]}
        for name in ("barn", "lab")
    },
}


@pytest.fixture
async def lab(
    ledger_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Lab]:
    """A scheduler on an empty ledger, and two metals; time alone opens no gate."""
    monkeypatch.setattr(gate_rows, "WAITS", (600, 1200))
    async with desk(ledger_dsn, tmp_path, {"bigtop": {}}, places=PLACES) as made:
        yield Lab([made], Counter())


async def tell(
    lab: Lab, metal: str, *capacities: tuple[str, str, int, int], at: datetime | None = None
) -> None:
    """The worker tells of a metal's nodes: (flavor, arch, total, free)."""
    told = tuple(NodeCapacity(flavor=f, arch=a, total=t, free=n) for f, a, t, n in capacities)
    taken = NodeInventoryTaken(metal=metal, taken_at=at or datetime.now(UTC), capacities=told)
    await lab.desk.event(taken, f"baremetal_worker/{metal}", "colobus", word="machine")


async def known(lab: Lab, within: timedelta = timedelta(minutes=3)) -> dict[str, NodeInventory]:
    async with lab.desk.database.connection() as connection:
        return await node_inventories.known(connection, within)


async def metal_of(lab: Lab, machine: str) -> str | None:
    placement = (await lab.desk.state(machine)).resource.status.placement
    assert placement is not None
    return placement.metal


async def test_a_machine_is_sent_where_nodes_are_free_and_takes_one(lab: Lab) -> None:
    """Also for the rounds that come before the next inventory."""
    await tell(lab, "barn", ("big", "", 9, 0))
    await tell(lab, "lab", ("big", "", 2, 1), ("big", "x86_64", 2, 1))
    lab.free.update(big=9)
    machine = await lab.create("bigtop", "big", arch="x86_64")
    await lab.go_on()
    assert await metal_of(lab, machine) == "lab"
    none = Capacity(2, 0)
    left = {Nodes("lab", "big"): none, Nodes("lab", "big", "x86_64"): none}
    assert (await known(lab))["lab"] == NodeInventory(left)


async def test_only_the_newest_inventory_counts_and_not_for_ever(lab: Lab) -> None:
    """What was taken earlier may come later; a metal that tells no more is not known any more."""
    now = datetime.now(UTC)
    await tell(lab, "lab", ("big", "", 2, 1), ("small", "", 5, 5), at=now)
    await tell(lab, "lab", ("big", "", 9, 9), at=now - timedelta(seconds=1))
    await tell(lab, "lab", ("big", "", 9, 8), at=now)
    await tell(lab, "barn", at=now)
    big, small = Nodes("lab", "big"), Nodes("lab", "small")
    capacities = NodeInventory({big: Capacity(2, 1), small: Capacity(5, 5)})
    assert await known(lab) == {"lab": capacities, "barn": NodeInventory({})}
    await tell(lab, "lab", ("big", "", 1, 0), at=now + timedelta(seconds=1))
    assert (await known(lab))["lab"] == NodeInventory({big: Capacity(1, 0)})
    assert await known(lab, timedelta()) == {}


async def test_an_inventory_that_is_not_renewed_counts_no_more(lab: Lab) -> None:
    """Neither for placement nor for the metrics."""
    await tell(lab, "barn", ("big", "", 9, 0))
    await tell(lab, "lab", ("big", "", 2, 1))
    lifetime = node_inventories.lifetime(lab.desk.context.settings)
    async with lab.desk.database.connection() as connection:
        await connection.execute(
            "UPDATE node_inventories SET heard_at = now() - $1::interval", lifetime
        )
    await measuring.measure(lab.desk.context)
    assert "colobus_nodes{" not in generate_latest(REGISTRY).decode()
    lab.free.update(big=1)
    machine = await lab.create("bigtop", "big")
    await lab.go_on()
    assert await metal_of(lab, machine) == "barn"


async def test_a_metal_that_is_no_more_is_forgotten(lab: Lab) -> None:
    """With all that was known of its nodes."""
    await tell(lab, "attic", ("big", "", 2, 1))
    await tell(lab, "lab", ("big", "", 2, 1))
    await census.order_censuses(lab.desk.context)
    assert (await known(lab)).keys() == {"lab"}


async def test_what_is_known_of_nodes_changes_under_the_nodes_lock(lab: Lab) -> None:
    """An inventory waits for a round that sends machines, and the other way round."""
    async with lab.desk.database.transaction() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock($1)", scarce_nodes._LOCK)
        telling = asyncio.create_task(tell(lab, "lab", ("big", "", 2, 1)))

        async def it_waits() -> bool:
            return bool(await tx.fetchval(WAITS))

        await eventually(it_waits, within=60, what="the inventory waits for the lock")
        assert await known(lab) == {}
    await telling
    assert (await known(lab)).keys() == {"lab"}


async def test_a_refusal_is_newer_than_the_inventory_before_it(lab: Lab) -> None:
    """None is free of what was refused; and an older look, told late, lets nobody try."""
    await tell(lab, "lab", ("big", "", 3, 2), ("big", "x86_64", 3, 2), ("small", "", 1, 1))
    looked = datetime.now(UTC)
    for _ in range(2):
        machine = await lab.create("bigtop", "big")
        await lab.go_on()
        async with lab.desk.database.connection() as connection:
            await connection.execute("UPDATE scarce_nodes SET not_before = now(), waits = 0")
    assert await lab.phase(machine) is Phase.WAITING
    assert (await known(lab))["lab"].capacities == {
        Nodes("lab", "big"): Capacity(3, 0),
        Nodes("lab", "big", "x86_64"): Capacity(3, 0),
        Nodes("lab", "small"): Capacity(1, 1),
    }
    await tell(lab, "lab", ("big", "", 3, 2), at=looked)
    assert (await lab.gate("big")).tries == 0


async def test_nodes_that_came_back_without_a_word_are_tried_for(lab: Lab) -> None:
    """An operator has mended one: no machine's end says so, but the next inventory does."""
    waiting = await lab.create("bigtop", "big")
    for _ in ("barn", "lab"):
        await lab.go_on()
    assert await lab.phase(waiting) is Phase.WAITING
    early = datetime.now(UTC) - timedelta(minutes=1)
    await tell(lab, "lab", ("big", "", 3, 1), at=early)  # was taken before the refusal
    await tell(lab, "barn", ("big", "", 3, 0))
    lab.asked.clear()
    await lab.go_on()
    assert lab.asked == []
    lab.free.update(big=1)
    await tell(lab, "lab", ("big", "", 3, 1))
    assert (await lab.gate("big")).tries == 1
    await lab.go_on()
    assert lab.asked == [waiting]
    assert await metal_of(lab, waiting) == "lab"
    assert lab.holders == {waiting: "big"}


async def test_how_many_nodes_there_are_is_shown_to_prometheus(lab: Lab) -> None:
    """By metal, flavor and arch."""
    await tell(lab, "lab", ("big", "x86_64", 3, 2))
    await measuring.measure(lab.desk.context)
    shown = generate_latest(REGISTRY).decode()
    labels = '{arch="x86_64",flavor="big",metal="lab"}'
    assert f"colobus_nodes{labels} 3.0" in shown
    assert f"colobus_nodes_free{labels} 2.0" in shown
