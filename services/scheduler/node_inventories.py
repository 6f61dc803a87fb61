"""How many nodes each metal has, and how many are free as far as is known: rows of two tables.

It is no reservation: Ironic chooses, and refuses. Rows are changed under the nodes' lock, which
`scarce_nodes` takes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

from services.scheduler.origins import check_taken_at
from services.scheduler.queues import Capacity, NodeInventory, Nodes
from services.scheduler.settings import Settings
from shared.bus import RejectedMessage
from shared.contract.messages import NodeInventoryTaken
from shared.storage import Connection

#: An inventory counts until so many further censuses should have brought another.
_CENSUSES = 3
#: Bounds of what an inventory may say.
_MOST_CAPACITIES, _MOST_NODES, _LONGEST = 10_000, 1_000_000, 255
_IS_NEWS = """
INSERT INTO node_inventories AS known (metal, taken_at) VALUES ($1, $2)
ON CONFLICT (metal) DO UPDATE SET taken_at = EXCLUDED.taken_at, heard_at = now()
    WHERE known.taken_at < EXCLUDED.taken_at
RETURNING true
"""
_KNOWN = """
SELECT metal, flavor, arch, total, free
FROM node_inventories LEFT JOIN node_capacities USING (metal) WHERE heard_at > now() - $1::interval
"""
#: Who has one of an arch has one of any.
_TAKE = """
UPDATE node_capacities SET free = greatest(0, free - $4)
WHERE metal = $1 AND flavor = $2 AND arch IN ($3, '')
"""
#: When there is none of any arch, there is none of each.
_NONE_LEFT = """
UPDATE node_capacities SET free = 0
WHERE metal = $1 AND flavor = $2 AND ($3 = '' OR arch = $3)
"""


def check(event: NodeInventoryTaken) -> None:
    """Raise `RejectedMessage` for what can't be an inventory."""
    check_taken_at(event.taken_at)
    if len(event.capacities) > _MOST_CAPACITIES:
        raise RejectedMessage("there are too many capacities")
    if any(not 0 <= one.free <= one.total <= _MOST_NODES for one in event.capacities):
        raise RejectedMessage("free and total are out of bounds")
    names = [event.metal, *(name for one in event.capacities for name in (one.flavor, one.arch))]
    if any(len(name) > _LONGEST for name in names):
        raise RejectedMessage("a name is too long")


def lifetime(settings: Settings) -> timedelta:
    """Return for how long an inventory counts after it was heard."""
    return timedelta(seconds=_CENSUSES * settings.census_seconds)


async def replace(tx: Connection, event: NodeInventoryTaken) -> list[Nodes]:
    """Keep it in place of the metal's last one; return which nodes it has free.

    One that is no newer than the last one is not kept, and says nothing.
    """
    if not await tx.fetchval(_IS_NEWS, event.metal, event.taken_at):
        return []
    capacities = {(one.flavor, one.arch): one for one in event.capacities}
    await tx.execute("DELETE FROM node_capacities WHERE metal = $1", event.metal)
    await tx.executemany(
        "INSERT INTO node_capacities (metal, flavor, arch, total, free)"
        " VALUES ($1, $2, $3, $4, $5)",
        [(event.metal, *key, one.total, one.free) for key, one in capacities.items()],
    )
    return [Nodes(event.metal, *key) for key, one in capacities.items() if one.free]


async def known(tx: Connection, within: timedelta) -> dict[str, NodeInventory]:
    """Return those that were heard ``within`` this time, by metal."""
    found: dict[str, dict[Nodes, Capacity]] = {}
    for row in await tx.fetch(_KNOWN, within):
        capacities = found.setdefault(row["metal"], {})
        if row["flavor"] is not None:
            nodes = Nodes(row["metal"], row["flavor"], row["arch"])
            capacities[nodes] = Capacity(row["total"], row["free"])
    return {metal: NodeInventory(capacities) for metal, capacities in found.items()}


async def note_sent(tx: Connection, sent: Mapping[Nodes, int]) -> None:
    """So many machines were sent for such nodes."""
    await tx.executemany(_TAKE, [(*nodes, count) for nodes, count in sorted(sent.items())])


async def note_none_left(tx: Connection, nodes: Nodes) -> None:
    """Ironic had none of these free: that is newer than what is known."""
    await tx.execute(_NONE_LEFT, *nodes)


async def forget_others(tx: Connection, metals: Collection[str]) -> None:
    """Forget the nodes of metals that are not among these."""
    await tx.execute("DELETE FROM node_inventories WHERE metal <> ALL($1)", sorted(metals))
