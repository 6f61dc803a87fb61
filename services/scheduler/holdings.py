"""The rows of what the backends hold: sightings come in, suspects come out.

All that changes the rows of one place happens under that place's advisory lock, and no resource is
locked under it: what has ended doesn't change any more, and what a living one holds neither.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from services.scheduler.definitions import Held
from services.scheduler.ledger import Transaction
from services.scheduler.orphans import Known, Seen, Verdict
from shared.contract.messages import Holding
from shared.contract.resources import Phase, Placement

#: What is counted where the verdict on an object was taken back before it went.
NO_VERDICT = "none"

# An object that has come to bear another name is seen for the first time.
_SEE = """
INSERT INTO holdings AS h (place, what, id, tenant, resource_id, name, status, seen_at)
SELECT $1, what, id, tenant, resource_id, name, status, $2
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
    AS seen (what, id, tenant, resource_id, name, status)
ON CONFLICT (place, what, id) DO UPDATE SET
    seen_before = CASE WHEN (h.tenant, h.resource_id)
        IS NOT DISTINCT FROM (EXCLUDED.tenant, EXCLUDED.resource_id) THEN h.seen_at END,
    orders = CASE WHEN (h.tenant, h.resource_id)
        IS NOT DISTINCT FROM (EXCLUDED.tenant, EXCLUDED.resource_id) THEN h.orders ELSE 0 END,
    seen_at = EXCLUDED.seen_at, tenant = EXCLUDED.tenant, resource_id = EXCLUDED.resource_id,
    name = EXCLUDED.name, status = EXCLUDED.status
WHERE h.seen_at < EXCLUDED.seen_at
"""
_COMPLETE = """
INSERT INTO censuses (place, taken_at) VALUES ($1, $2)
ON CONFLICT (place) DO UPDATE SET taken_at = EXCLUDED.taken_at
"""
# What an active resource's handles name, on its cloud, is as it should be: nearly everything.
_SUSPECTS = """
SELECT DISTINCT h.resource_id FROM holdings h LEFT JOIN resources r ON r.id = h.resource_id
WHERE h.place = $1 AND h.resource_id IS NOT NULL AND NOT coalesce(
    r.phase = 'active' AND r.tenant = h.tenant AND EXISTS (
        SELECT FROM jsonb_each(r.state #> '{resource,status,placement}') AS placed
        WHERE placed.value = to_jsonb(h.place)) AND EXISTS (
        SELECT FROM jsonb_each_text(r.state->'handles') AS handle WHERE handle.value = h.id), false)
"""
_THINGS = """
SELECT place, what, id, tenant, resource_id, seen_at, seen_before, orders, order_after, verdict,
    name, status
FROM holdings WHERE resource_id = ANY($1) ORDER BY place, what, id
"""
# An answered step leaves both fields out, since those are their defaults. What was left behind on
# another cloud is still being undone there.
_KNOWN = """
SELECT id, kind, tenant, phase, updated_at, state->'handles' AS handles,
    state #> '{resource,status,placement}' AS placement,
    jsonb_path_exists(state, '$.progress.* ? (@.answered == false || @.accepted == true)')
    OR jsonb_path_exists(state, '$.left_behind[0]') AS busy
FROM resources WHERE id = ANY($1)
"""


@dataclass(frozen=True)
class Scope:
    """What a census tells of: ``whats`` alone, or everything but these."""

    whats: tuple[str, ...]
    alone: bool


async def lock_place(tx: Transaction, place: str) -> None:
    """Take the lock of a place's rows, until the end of the transaction."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", place)


async def is_news(tx: Transaction, series: str, taken_at: datetime, part: int) -> bool:
    """Note that this part of a census has come; False when it had, or a newer one is complete.

    ``series``: that of the censuses which follow each other (`services.scheduler.census.series`).
    """
    status = await tx.execute(
        "INSERT INTO census_parts (place, taken_at, part) SELECT $1, $2, $3"
        " WHERE NOT EXISTS (SELECT FROM censuses WHERE place = $1 AND taken_at >= $2)"
        " ON CONFLICT DO NOTHING",
        *(series, taken_at, part),
    )
    return status == "INSERT 0 1"


async def see(tx: Transaction, place: str, taken_at: datetime, holdings: Iterable[Holding]) -> None:
    """Note what was seen."""
    rows = list({(one.what, one.id): one for one in holdings}.values())
    columns = ("what", "id", "tenant", "resource_id", "name", "status")
    values = [[getattr(one, column) for one in rows] for column in columns]
    await tx.execute(_SEE, place, taken_at, *values)


async def complete(tx: Transaction, series: str, taken_at: datetime, parts: int) -> bool:
    """Note that the census is complete; False while parts of it are missing."""
    here = await tx.fetchval(
        "SELECT count(*) FROM census_parts WHERE place = $1 AND taken_at = $2", series, taken_at
    )
    if here < parts:
        return False
    await tx.execute(_COMPLETE, series, taken_at)
    await tx.execute(
        "DELETE FROM census_parts WHERE place = $1 AND taken_at <= $2", series, taken_at
    )
    return True


async def forget_unseen(
    tx: Transaction,
    place: str,
    taken_at: datetime,
    scope: Scope,
    left_out: Sequence[str] = (),
) -> list[tuple[str, str]]:
    """Forget what a complete census did not show, of those things that it tells of.

    Of tenants that were ``left_out`` it tells of none.
    Returns (what, verdict) of the things that are gone after their removal was ordered.
    """
    gone = await tx.fetch(
        "DELETE FROM holdings WHERE place = $1 AND seen_at < $2 AND (what = ANY($3)) = $4"
        " AND tenant <> ALL($5) RETURNING what, verdict, orders",
        *(place, taken_at, list(scope.whats), scope.alone, list(left_out)),
    )
    return [(row["what"], row["verdict"] or NO_VERDICT) for row in gone if row["orders"]]


async def remove(tx: Transaction, place: str, what: str, object_id: str) -> tuple[str, str] | None:
    """Forget an object that is gone; returns its resource's id and the verdict on it."""
    row = await tx.fetchrow(
        "DELETE FROM holdings WHERE place = $1 AND what = $2 AND id = $3 AND resource_id IS NOT"
        " NULL RETURNING resource_id, verdict",
        *(place, what, object_id),
    )
    return None if row is None else (row["resource_id"], row["verdict"] or NO_VERDICT)


async def suspects(tx: Transaction, place: str) -> list[str]:
    """Return the resources of which something at the place isn't plainly as it should be.

    All others' things are cleared of what was said of them.
    """
    found = [row["resource_id"] for row in await tx.fetch(_SUSPECTS, place)]
    await tx.execute(
        "UPDATE holdings SET verdict = NULL WHERE place = $1 AND verdict IS NOT NULL"
        " AND (resource_id IS NULL OR resource_id <> ALL($2))",
        *(place, found),
    )
    return found


async def things_of(tx: Transaction, resource_ids: Sequence[str]) -> dict[str, list[Seen]]:
    """Return what the backends, all of them, hold of each of these resources."""
    found: defaultdict[str, list[Seen]] = defaultdict(list)
    for row in await tx.fetch(_THINGS, list(resource_ids)):
        fields: dict[str, Any] = dict(row)
        verdict = fields.pop("verdict")
        seen = Seen(**fields, verdict=Verdict(verdict) if verdict else None)
        found[seen.resource_id].append(seen)
    return found


async def known_of(
    tx: Transaction, resource_ids: Sequence[str], holds: Mapping[str, Mapping[str, Held]]
) -> dict[str, Known]:
    """Return what the ledger knows of each; ``holds`` is {kind: {what: how it is held}}."""
    known = {}
    for row in await tx.fetch(_KNOWN, list(resource_ids)):
        handles, held = row["handles"] or {}, holds.get(row["kind"], {})
        placement = msgspec.convert(row["placement"] or {}, Placement)
        known[row["id"]] = Known(
            kind=row["kind"],
            tenant=row["tenant"],
            phase=Phase(row["phase"]),
            changed_at=row["updated_at"],
            whats=tuple(held),
            places=placement.places,
            busy=row["busy"],
            records={w: handles[one.handle] for w, one in held.items() if one.handle in handles},
            unrecorded=frozenset(w for w, one in held.items() if one.handle is None),
        )
    return known


async def note_verdict(tx: Transaction, seen: Seen, verdict: Verdict | None) -> None:
    """Keep what is wrong with an object."""
    await tx.execute(
        "UPDATE holdings SET verdict = $4 WHERE (place, what, id) = ($1, $2, $3)",
        *(seen.place, seen.what, seen.id, verdict),
    )


async def note_order(tx: Transaction, seen: Seen, order_after: datetime) -> None:
    """Keep that an object's removal was ordered once more."""
    await tx.execute(
        "UPDATE holdings SET orders = orders + 1, order_after = $4"
        " WHERE (place, what, id) = ($1, $2, $3)",
        *(seen.place, seen.what, seen.id, order_after),
    )


async def forget_other_places(tx: Transaction, places: Sequence[str]) -> None:
    """Forget places that no tenant has any more: nobody takes their census."""
    for table in ("holdings", "census_parts", "censuses"):
        await tx.execute(f"DELETE FROM {table} WHERE place <> ALL($1)", list(places))  # noqa: S608 - our own words
