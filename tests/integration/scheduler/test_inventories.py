"""What is told of metals' nodes, on the real ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from services.scheduler import gate_rows, inventories, measuring
from services.scheduler.queues import Inventory, Nodes, Stock
from shared.contract.messages import InventoryTaken, NodeStock
from shared.contract.resources import Phase
from shared.runtime.metrics import REGISTRY
from tests.integration.scheduler.desk import desk
from tests.integration.scheduler.lab import Lab

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
    lab: Lab, metal: str, *stocks: tuple[str, str, int, int], at: datetime | None = None
) -> None:
    """The worker tells of a metal's nodes: (flavor, arch, total, free)."""
    told = tuple(NodeStock(flavor=f, arch=a, total=t, free=n) for f, a, t, n in stocks)
    taken = InventoryTaken(metal=metal, taken_at=at or datetime.now(UTC), stocks=told)
    await lab.desk.event(taken, f"baremetal_worker/{metal}", "colobus", word="machine")


async def known(lab: Lab, within: timedelta = timedelta(minutes=3)) -> dict[str, Inventory]:
    async with lab.desk.database.connection() as connection:
        return await inventories.inventories(connection, within)


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
    none = Stock(2, 0)
    left = {Nodes("lab", "big"): none, Nodes("lab", "big", "x86_64"): none}
    assert (await known(lab))["lab"] == Inventory(left)


async def test_only_the_newest_inventory_counts_and_not_for_ever(lab: Lab) -> None:
    """What was taken earlier may come later; a metal that tells no more is not known any more."""
    now = datetime.now(UTC)
    await tell(lab, "lab", ("big", "", 2, 1), ("small", "", 5, 5), at=now)
    await tell(lab, "lab", ("big", "", 9, 9), at=now - timedelta(seconds=1))
    await tell(lab, "lab", ("big", "", 9, 8), at=now)
    await tell(lab, "barn", at=now)
    big, small = Nodes("lab", "big"), Nodes("lab", "small")
    stocks = Inventory({big: Stock(2, 1), small: Stock(5, 5)})
    assert await known(lab) == {"lab": stocks, "barn": Inventory({})}
    await tell(lab, "lab", ("big", "", 1, 0), at=now + timedelta(seconds=1))
    assert (await known(lab))["lab"] == Inventory({big: Stock(1, 0)})
    assert await known(lab, timedelta()) == {}


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
