"""The timeline: every status a resource went through, per resource and per tenant.

An entry is found under two numbers: its resource's revision, and its position in the tenant's own
gapless, commit-ordered sequence. Streams resume by either (`Last-Event-ID`). Reading goes by
position in both, so an entry that came late, behind a newer one, is still delivered.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shared.contract.kinds import without_secrets
from shared.contract.resources import Resource
from shared.storage import Connection, Database

#: Replicas wake their streams and waits by this; the payload is ``<tenant> <resource id>``.
STATUS_CHANNEL = "front_door_status"

_APPEND = """
WITH fresh AS (
    SELECT 1 WHERE NOT EXISTS (SELECT FROM events WHERE resource_id = $2 AND sequence = $3)
), position AS (
    INSERT INTO positions (tenant, last) SELECT $1, 1 FROM fresh
    ON CONFLICT (tenant) DO UPDATE SET last = positions.last + 1 RETURNING last
), appended AS (
    INSERT INTO events (tenant, position, resource_id, sequence, phase, at, document)
    SELECT $1, last, $2, $3, $4, $5, $6 FROM position RETURNING position
)
SELECT position, pg_notify($7, $8)::text FROM appended
"""
_OF_RESOURCE = """
SELECT position, resource_id, sequence, phase, at, document FROM events
WHERE resource_id = $2 AND tenant = $1 AND position > $3 ORDER BY position LIMIT $4
"""
_OF_TENANT = """
SELECT position, resource_id, sequence, phase, at, document FROM events
WHERE tenant = $1 AND position > $2 ORDER BY position LIMIT $3
"""
_POSITION_OF = """
SELECT coalesce(
    (SELECT position FROM events WHERE resource_id = $2 AND tenant = $1 AND sequence = $3),
    (SELECT max(position) FROM events WHERE resource_id = $2 AND tenant = $1 AND sequence < $3), 0)
"""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One status: ``document`` is the JSON of the resource as it then was."""

    position: int
    resource_id: str
    sequence: int
    phase: str
    at: datetime
    document: str

    def as_json(self, event_id: int) -> bytes:
        """Return the entry in the form of `shared.contract.http.TimelineEvent`."""
        return msgspec.json.encode(
            {
                "type": "status",
                "resource_id": self.resource_id,
                "at": self.at,
                "id": str(event_id),
                "revision": self.sequence,
                "phase": self.phase,
                "resource": msgspec.Raw(self.document.encode()),
            }
        )


async def append(tx: Connection, resource: Resource) -> bool:
    """Append a status, unless it is there, and wake all replicas after the commit.

    The caller holds the lock on the resource's row (`read_model.upsert`).
    """
    document = msgspec.json.encode(without_secrets(resource)).decode()
    appended = await tx.fetchrow(
        _APPEND,
        *(resource.tenant, resource.id, resource.revision, str(resource.status.phase)),
        *(resource.updated_at, document),
        *(STATUS_CHANNEL, f"{resource.tenant} {resource.id}"),
    )
    return appended is not None


async def read(
    database: Database, tenant: str, resource_id: str | None, *, after: int, limit: int
) -> Sequence[Entry]:
    """Return entries beyond position ``after`` of one resource, or (None) of the whole tenant."""
    async with database.connection() as connection:
        if resource_id is None:
            rows = await connection.fetch(_OF_TENANT, tenant, after, limit)
        else:
            rows = await connection.fetch(_OF_RESOURCE, tenant, resource_id, after, limit)
    return [msgspec.convert(dict(row), Entry) for row in rows]


async def position_of(database: Database, tenant: str, resource_id: str, revision: int) -> int:
    """Return the position up to which one who has seen ``revision`` has seen the resource."""
    async with database.connection() as connection:
        return int(await connection.fetchval(_POSITION_OF, tenant, resource_id, revision))


async def last_position(database: Database, tenant: str) -> int:
    """Return the position of the tenant's newest entry; 0 when there is none."""
    async with database.connection() as connection:
        found = await connection.fetchval("SELECT last FROM positions WHERE tenant = $1", tenant)
    return int(found or 0)


async def ends_at(database: Database, resource_id: str, position: int) -> str | None:
    """Return the phase of the resource's newest entry, if that is the one at ``position``."""
    query = (
        "SELECT position, phase FROM events WHERE resource_id = $1 ORDER BY position DESC LIMIT 1"
    )
    async with database.connection() as connection:
        newest = await connection.fetchrow(query, resource_id)
    return str(newest["phase"]) if newest and newest["position"] == position else None
