"""How many nodes each metal has, and how many were free a moment ago: what placement goes by.

It is no reservation: Ironic chooses, and refuses. So a metal that seems to have none free is asked
last, not never; and one that has some again opens the gate of those who wait for them
(`scarce_nodes`, whose lock these rows are changed under).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from services.scheduler import scarce_nodes
from services.scheduler.queues import Inventory, Nodes, Stock
from shared.bus import RejectedMessage
from shared.contract.messages import InventoryTaken
from shared.storage import Connection

#: Bounds of what an inventory may say.
_MOST_STOCKS, _MOST_NODES, _LONGEST = 10_000, 1_000_000, 255
_IS_NEWS = """
INSERT INTO inventories (metal, taken_at) VALUES ($1, $2)
ON CONFLICT (metal) DO UPDATE SET taken_at = EXCLUDED.taken_at, heard_at = now()
    WHERE inventories.taken_at < EXCLUDED.taken_at
RETURNING true
"""
_STOCKS = """
SELECT metal, flavor, arch, total, free FROM inventories LEFT JOIN node_stocks USING (metal)
WHERE heard_at > now() - $1::interval
"""
#: Who has one of an arch has one of any.
_TAKE = """
UPDATE node_stocks SET free = greatest(0, free - $4)
WHERE metal = $1 AND flavor = $2 AND arch IN ($3, '')
"""


def check(event: InventoryTaken) -> None:
    """Raise `RejectedMessage` for what can't be an inventory."""
    if len(event.stocks) > _MOST_STOCKS:
        raise RejectedMessage("there are too many stocks")
    if any(not 0 <= one.free <= one.total <= _MOST_NODES for one in event.stocks):
        raise RejectedMessage("free and total are out of bounds")
    names = [event.metal, *(name for one in event.stocks for name in (one.flavor, one.arch))]
    if any(len(name) > _LONGEST for name in names):
        raise RejectedMessage("a name is too long")


async def note(tx: Connection, event: InventoryTaken) -> None:
    """Keep it in place of the metal's last one, unless it is older. Takes the nodes' lock."""
    await scarce_nodes.lock(tx)
    if not await tx.fetchval(_IS_NEWS, event.metal, event.taken_at):
        return
    stocks = {(one.flavor, one.arch): one for one in event.stocks}
    await tx.execute("DELETE FROM node_stocks WHERE metal = $1", event.metal)
    await tx.executemany(
        "INSERT INTO node_stocks (metal, flavor, arch, total, free) VALUES ($1, $2, $3, $4, $5)",
        [(event.metal, *key, one.total, one.free) for key, one in stocks.items()],
    )
    free = [Nodes(event.metal, *key) for key, one in stocks.items() if one.free]
    await scarce_nodes.seen_free(tx, free, event.taken_at)


async def inventories(tx: Connection, within: timedelta) -> dict[str, Inventory]:
    """Return those that were heard ``within`` this time, by metal."""
    found: dict[str, dict[Nodes, Stock]] = {}
    for row in await tx.fetch(_STOCKS, within):
        stocks = found.setdefault(row["metal"], {})
        if row["flavor"] is not None:
            nodes = Nodes(row["metal"], row["flavor"], row["arch"])
            stocks[nodes] = Stock(row["total"], row["free"])
    return {metal: Inventory(stocks) for metal, stocks in found.items()}


async def note_taken(tx: Connection, sent: Mapping[Nodes, int]) -> None:
    """So many machines were sent for such nodes. Takes the nodes' lock."""
    if sent:
        await scarce_nodes.lock(tx)
        await tx.executemany(_TAKE, [(*nodes, count) for nodes, count in sorted(sent.items())])
