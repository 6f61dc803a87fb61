"""Nodes of which a metal had none free, and who of all tenants' queues may try again when.

What else is known of metals' nodes (`node_inventories`) changes here, too: a refusal says that
there is none, and an inventory that there are some again.

A node serves whoever gets it, so these gates are one for all tenants, and one for each flavor and
arch, so that who waits for large nodes holds up nobody who wants small ones.

Rows are changed under an advisory lock of their own, in the transaction of what they follow from.
It comes after all tenants' locks, however many are concerned, and before clouds' rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from services.scheduler import node_inventories
from services.scheduler.gate_rows import GateRows
from services.scheduler.machine_sightings import NODE
from services.scheduler.queues import OF_NODES, Gate, Nodes
from services.scheduler.state import Goal, Progress, ResourceState
from shared.contract.messages import NodeInventoryTaken
from shared.contract.problems import Problem, Reason
from shared.storage import Connection

_ROWS = GateRows("scarce_nodes", "metal", "flavor", "arch")
_LOCK = 0x4E4F4445  # "NODE"
_KINDRED = "SELECT arch FROM scarce_nodes WHERE metal = $1 AND flavor = $2 ORDER BY arch"
_WANTED = """
SELECT EXISTS (SELECT FROM resources WHERE kind = 'machine' AND phase IN ('requested', 'waiting')
    AND state #>> '{resource,spec,flavor}' = $1
    AND COALESCE(state #>> '{resource,spec,arch}', '') = $2)
"""


async def follow(tx: Connection, changed: Iterable[tuple[ResourceState, ResourceState]]) -> None:
    """Note what these changes, each (before, after), tell of nodes. Takes the nodes' lock."""
    for before, after in changed:
        if before.resource.kind != "machine" or before.resource.status.placement is None:
            continue
        nodes, had = _nodes(before), _has_node(before)
        if (refusal := _refusal(before, after)) is not None:
            await _lock(tx)
            await _ROWS.close(tx, nodes, *refusal)
            await node_inventories.note_none_left(tx, nodes)
        elif had and not _has_node(after):
            await _given_back(tx, nodes)
        elif not had and _has_node(after):
            await _found(tx, nodes, after.step(NODE).started_at)


def _nodes(state: ResourceState) -> Nodes:
    spec = state.resource.spec
    return Nodes(state.place, spec["flavor"], spec.get("arch") or "")


def _has_node(state: ResourceState) -> bool:
    """One that was refused has none to give back, whatever is undone of it."""
    return state.progress.get(NODE, Progress()).made


def _refusal(before: ResourceState, after: ResourceState) -> tuple[Problem, Reason] | None:
    ending = after.ending
    if ending is None or ending == before.ending or ending.goal is not Goal.REQUEUE:
        return None
    if ending.reason not in OF_NODES:
        return None
    return ending.problem or Problem(title="Refused"), ending.reason


async def _given_back(tx: Connection, nodes: Nodes) -> None:
    """One more may try. Where either has not said which arch, it may be the node for it."""
    kindred = await tx.fetch(_KINDRED, nodes.metal, nodes.flavor)
    archs = [row["arch"] for row in kindred if _may_be_one(row["arch"], nodes.arch)]
    if not archs:
        return
    await _lock(tx)
    for arch in archs:
        await _ROWS.allow_one(tx, nodes._replace(arch=arch))


def _may_be_one(wanted: str, given: str) -> bool:
    return wanted == given or "" in (wanted, given)


async def _found(tx: Connection, nodes: Nodes, since: datetime | None) -> None:
    if since is None or not await _ROWS.exists(tx, nodes):
        return
    await _lock(tx)
    wanted = await tx.fetchval(_WANTED, nodes.flavor, nodes.arch)
    await _ROWS.had_room(tx, nodes, since, wanted=wanted)


async def take_inventory(tx: Connection, event: NodeInventoryTaken) -> None:
    """A metal's nodes were counted: where some are free, one that waits may try.

    Takes the nodes' lock.
    """
    await _lock(tx)
    for nodes in sorted(await node_inventories.replace(tx, event)):
        await _ROWS.open_again(tx, nodes, event.taken_at)


async def forget_other_metals(tx: Connection, metals: Collection[str]) -> None:
    """Forget the nodes of metals that are not among these. Takes the nodes' lock."""
    await _lock(tx)
    await node_inventories.forget_others(tx, metals)


async def _lock(tx: Connection) -> None:
    await tx.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


async def gates(tx: Connection) -> dict[Nodes, Gate]:
    """The nodes of which there was none free."""
    return {Nodes(*key): gate for key, gate in (await _ROWS.gates(tx)).items()}


async def note_tries(
    tx: Connection, tried: Sequence[tuple[Nodes, bool]], sent: Mapping[Nodes, int]
) -> None:
    """Note who was admitted. Takes the nodes' lock.

    ``tried``: those of which there was none free, each (nodes, it was time); ``sent``: how many in
    all, by what is known of the nodes.
    """
    if tried or sent:
        await _lock(tx)
    await node_inventories.note_sent(tx, sent)
    for nodes, timely in tried:
        await _ROWS.note_try(tx, nodes, timely=timely)
