"""Gathering the evidence: from PostgreSQL, the clouds, the broker and the requesters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import asyncpg
from keystoneauth1.exceptions import ClientException as KeystoneClientException
from openstack.exceptions import SDKException

from colobus.models import Phase
from shared.contract.kinds import demand_of
from tests.faults import nova
from tests.faults.burst import Burst
from tests.faults.census import NETWORKED
from tests.faults.default_networks import default_networks
from tests.faults.facts import Evidence, Held, Instance, Reservation, Row, Told
from tests.faults.plan import PROBER
from tests.faults.queues import queued
from tests.faults.schedule import Fault, losers
from tests.faults.world import World

#: What asking PostgreSQL, the broker or the cloud raises while they are being restarted.
OUT = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    aiohttp.ClientError,
    SDKException,
    KeystoneClientException,
)
#: The requests of the `PROBER`: some are on their way whenever one looks.
_PROBES = """
    SELECT id FROM scheduler.resources WHERE tenant = $1
    UNION SELECT id FROM front_door.resources WHERE tenant = $1
    UNION SELECT resource_id FROM front_door.requests WHERE tenant = $1"""
#: What should have passed when everything is at rest. ``$1``: ids of the seeds before, and of
#: probes.
_LEFT_OVER = {
    "timers of resources that rest": """
        SELECT count(*) FROM scheduler.timers t JOIN scheduler.resources r ON r.id = t.resource_id
        WHERE t.name <> 'lease' AND t.resource_id <> ALL($1)""",
    "open steps": """
        SELECT count(*) FROM scheduler.resources r, jsonb_each(r.state->'progress') p
        WHERE r.id <> ALL($1)
          AND ((p.value->>'answered') = 'false' OR (p.value->>'accepted') = 'true')""",
    "steps that aren't done": """
        SELECT count(*) FROM scheduler.resources r,
            jsonb_array_elements(r.state->'resource'->'status'->'steps') s
        WHERE r.id <> ALL($1) AND s->>'state' IN ('running', 'retrying', 'undoing')""",
    "rows in the scheduler's outbox": f"""
        SELECT count(*) FROM scheduler.outbox
        WHERE convert_from(body, 'UTF8')::json->>'tenant' IS DISTINCT FROM '{PROBER}'""",
    "rows in the webhook worker's outbox": "SELECT count(*) FROM webhook_worker.outbox",
    "requests without a confirm": """
        SELECT count(*) FROM front_door.requests
        WHERE confirmed_at IS NULL AND withdrawn_at IS NULL AND resource_id <> ALL($1)""",
    "webhooks not delivered": """
        SELECT count(*) FROM webhook_worker.deliveries
        WHERE state <> 'delivered' AND resource_id <> ALL($1)""",
}


@dataclass
class Before:
    """What was there before a seed: VMs that aren't its own, and where its streams begin.

    ``objects``: ids of what the cloud held. What comes later is judged, whosoever it bears the
    name of: a server that Nova finishes late for a VM of an earlier seed is a leak.
    """

    ids: frozenset[str]
    positions: dict[str, int]
    objects: frozenset[str]


async def look_before(world: World) -> Before:
    """Note what is there already."""
    connection = await asyncpg.connect(_dsn(world))
    try:
        ids = await connection.fetch("SELECT id FROM scheduler.resources")
        rows = await connection.fetch("SELECT tenant, last FROM front_door.positions")
    finally:
        await connection.close()
    objects = await asyncio.to_thread(held, world)
    return Before(
        ids=frozenset(row["id"] for row in ids),
        positions={row["tenant"]: row["last"] for row in rows},
        objects=frozenset(one.id for one in objects),
    )


@dataclass(frozen=True)
class Books:
    """What PostgreSQL says, at one instant, without what is the prober's.

    ``rows``: {row of the ledger: what it demands}; ``accepted``: {what its backend calls it:
    resource}. ``usage`` is everybody's: the prober's requests must hold nothing.
    """

    rows: dict[Row, dict[str, int]]
    read_model: tuple[Row, ...]
    timeline: tuple[Told, ...]
    usage: dict[tuple[str, str], int]
    accepted: dict[str, str]
    reservations: tuple[Reservation, ...]
    networked: frozenset[str]
    left_over: dict[str, int]


async def look_into_books(dsn: str, before: Before) -> Books:
    """Read the tables of all services in one snapshot: a probe is in all of them, or in none."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            probes = [row["id"] for row in await connection.fetch(_PROBES, PROBER)]
            before = replace(before, ids=before.ids.union(probes))
            return Books(
                rows=await _resources(connection, before),
                read_model=await _read_model(connection, before),
                timeline=await _timeline(connection, before),
                usage=await _usage(connection),
                accepted=await _accepted(connection, before),
                reservations=tuple(await _reservations(connection, before)),
                networked=await _networked(connection),
                left_over=await _left_over(connection, before),
            )
    finally:
        await connection.close()


async def gather(
    burst: Burst,
    before: Before,
    faults: Sequence[Fault],
    *,
    unsettled: list[str],
    unmade: bool,
) -> Evidence:
    """Return everything that there is to be judged."""
    world = burst.world
    said = await look_into_books(_dsn(world), before)
    return Evidence(
        plans=tuple(burst.plans),
        answers={key: tuple(ids) for key, ids in burst.answers.items()},
        streamed=tuple(
            Told(e.resource_id, e.revision or 0, e.resource.status.phase)
            for events in burst.told.values()
            for e in events
            if e.resource is not None
        ),
        webhooks=webhooks(world, before),
        held=tuple(
            one for one in await asyncio.to_thread(held, world) if one.id not in before.objects
        ),
        commons=tuple(await asyncio.to_thread(default_networks, world.cloud, world.projects)),
        networked=said.networked,
        left_over={**said.left_over, **await queued(world.colobus.admin, all_quiet=unmade)},
        unsettled=tuple(unsettled),
        ended=tuple(world.ended()),
        instances=await asyncio.to_thread(_instances, world, said),
        reservations=said.reservations,
        losers=losers(faults),
        unmade=unmade,
        ledger=tuple(said.rows),
        demands={row.id: demand for row, demand in said.rows.items()},
        read_model=said.read_model,
        timeline=said.timeline,
        usage=said.usage,
    )


def _dsn(world: World) -> str:
    return str.__str__(world.colobus.admin.admin_database_dsn)


async def _left_over(connection: Any, before: Before) -> dict[str, int]:
    ids = list(before.ids)
    return {
        what: await connection.fetchval(query, *([ids] * ("$1" in query)))
        for what, query in _LEFT_OVER.items()
    }


async def _resources(connection: Any, before: Before) -> dict[Row, dict[str, int]]:
    rows = await connection.fetch(
        "SELECT id, kind, tenant, phase, state FROM scheduler.resources WHERE id <> ALL($1)",
        list(before.ids),
    )
    found = {}
    for row in rows:
        resource = json.loads(row["state"])["resource"]
        assert resource["status"]["phase"] == row["phase"], "two columns of one row"
        found[_row(row["id"], row["tenant"], resource)] = demand_of(row["kind"], resource["spec"])
    return found


async def _networked(connection: Any) -> frozenset[str]:
    """Return whose default network there may be, whichever seed it was made for."""
    rows = await connection.fetch(
        "SELECT DISTINCT tenant FROM scheduler.resources WHERE kind = ANY($1) AND tenant <> $2",
        list(NETWORKED),
        PROBER,
    )
    return frozenset(row["tenant"] for row in rows)


async def _accepted(connection: Any, before: Before) -> dict[str, str]:
    """Return {what its backend calls it: resource} of all that the timeline ever told of."""
    rows = await connection.fetch(
        """SELECT DISTINCT resource_id, COALESCE(
            document->'status'->'outputs'->>'server_id',
            document->'status'->'outputs'->>'stack_id',
            document->'status'->'outputs'->>'cluster_id') AS backend_id
        FROM front_door.events WHERE resource_id <> ALL($1)""",
        list(before.ids),
    )
    return {row["backend_id"]: row["resource_id"] for row in rows if row["backend_id"]}


async def reservations(world: World, before: Before) -> list[Reservation]:
    """Which machine had which node, and when."""
    connection = await asyncpg.connect(_dsn(world))
    try:
        return list(await _reservations(connection, before))
    finally:
        await connection.close()


async def _reservations(connection: Any, before: Before) -> Iterable[Reservation]:
    rows = await connection.fetch(
        """SELECT resource_id, document::text FROM front_door.events
        WHERE resource_id LIKE 'machine-%' AND resource_id <> ALL($1)
        ORDER BY resource_id, sequence""",
        list(before.ids),
    )
    return reserved((row["resource_id"], json.loads(row["document"])) for row in rows)


def reserved(told: Iterable[tuple[str, dict[str, Any]]]) -> Iterable[Reservation]:
    """Return who held which node from when to when, from what was told of each, in order. Pure.

    It begins when it was told (then Ironic had given the node already) and ends when the release
    was told to be ordered (it came after that): what overlaps by this, overlapped.
    """
    found: list[Reservation] = []
    for id, resource in told:
        state = next((s["state"] for s in resource["status"]["steps"] if s["name"] == "node"), "")
        holds = found[-1] if found and found[-1].resource_id == id else None
        if state == "done" and (holds is None or holds.until is not None):
            node = resource["status"]["outputs"]["node"]
            found.append(Reservation(id, node, resource["updated_at"]))
        elif state != "done" and holds is not None and holds.until is None:
            found[-1] = replace(holds, until=resource["updated_at"])
    return found


def _instances(world: World, said: Books) -> tuple[Instance, ...]:
    ids = [row.id for row in said.rows]
    found = tuple(nova.instances(world.supervisor.site, ids, said.accepted))
    if world.works is None:
        return found
    return (*found, *world.works.said(ids, said.accepted, said.reservations))


async def _read_model(connection: Any, before: Before) -> tuple[Row, ...]:
    rows = await connection.fetch(
        "SELECT id, tenant, document::text FROM front_door.resources WHERE id <> ALL($1)",
        list(before.ids),
    )
    return tuple(_row(row["id"], row["tenant"], json.loads(row["document"])) for row in rows)


def _row(id: str, tenant: str, resource: dict[str, Any]) -> Row:
    status = resource["status"]
    phase, reason = Phase(status["phase"]), status.get("reason")
    return Row(id, tenant, phase, resource["revision"], reason)


async def _timeline(connection: Any, before: Before) -> tuple[Told, ...]:
    rows = await connection.fetch(
        """SELECT tenant, position, resource_id, sequence, phase FROM front_door.events
        WHERE tenant <> $1""",
        PROBER,
    )
    return tuple(
        Told(row["resource_id"], row["sequence"], Phase(row["phase"]))
        for row in rows
        if row["position"] > before.positions.get(row["tenant"], 0)
    )


async def _usage(connection: Any) -> dict[tuple[str, str], int]:
    rows = await connection.fetch("SELECT tenant, name, amount FROM scheduler.usage")
    return {(row["tenant"], row["name"]): row["amount"] for row in rows}


def webhooks(world: World, before: Before) -> tuple[Told, ...]:
    """What the receiver got of this seed's resources."""
    events = [received.event for received in world.receiver.received]
    return tuple(
        Told(
            event["subject"],
            int(event["sequence"]),
            Phase(event["data"]["resource"]["status"]["phase"]),
        )
        for event in events
        if event["subject"] not in before.ids
    )


def held(world: World) -> list[Held]:
    """What the administrators of the cloud and of its works see of the installation."""
    marks, holdings = world.cloud.marks, world.cloud.holds()

    def owner(tags: Iterable[str] | None, description: str | None = None) -> str:
        return marks.resource_of(tags or (), description or "") or "nobody"

    return [
        *(
            Held("server", one["id"], owner(one["tags"]), None, one["status"])
            for one in holdings.servers
        ),
        *(
            Held("port", one.id, owner(one.tags, one.description), one.device_id, one.status)
            for one in holdings.ports
        ),
        *(
            Held("floating_ip", one.id, owner(one.tags, one.description), one.port_id, one.status)
            for one in holdings.floating_ips
        ),
        *(() if world.works is None else world.works.held()),
    ]


async def unanswered(world: World, ids: Iterable[str]) -> int:
    """How many attempts of these VMs' steps were given up since no answer came: rescued, but slow.

    It takes three minutes, and says that a command or its answer was lost, or a worker overloaded.
    """
    connection = await asyncpg.connect(_dsn(world))
    try:
        return int(
            await connection.fetchval(
                """SELECT count(DISTINCT (e.resource_id, s->>'name', s->>'attempt'))
                FROM front_door.events e, json_array_elements(e.document->'status'->'steps') s
                WHERE e.resource_id = ANY($1) AND s->'error'->>'title' = 'No answer'""",
                list(ids),
            )
        )
    finally:
        await connection.close()
