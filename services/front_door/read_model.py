"""The read model: every resource as its newest status message showed it.

``document`` is the JSON that is served. It never carries a secret of the spec, sealed or not.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.front_door.parameters import ResourceFilter
from shared.contract.kinds import without_secrets
from shared.contract.resources import Resource
from shared.storage import Connection, Database

# The row is locked even when it is newer already, so one resource's messages take turns.
_UPSERT = """
INSERT INTO resources (id, ulid, tenant, kind, name, phase, labels, revision, updated_at, document)
VALUES ($1, right($1, 26), $2, $3, $4, $5, $6::text::jsonb, $7, $8, $9)
ON CONFLICT (id) DO UPDATE SET
    name = EXCLUDED.name, phase = EXCLUDED.phase, labels = EXCLUDED.labels,
    revision = EXCLUDED.revision, updated_at = EXCLUDED.updated_at, document = EXCLUDED.document
WHERE resources.revision < EXCLUDED.revision AND resources.tenant = EXCLUDED.tenant
"""
_PAGE = """
SELECT id, revision, phase, document FROM resources
WHERE tenant = $1
AND ($2::text IS NULL OR kind = $2)
AND phase = ANY($3)
AND ($4::text IS NULL OR name = $4)
AND labels @> $5
AND ($6::text IS NULL OR (ulid, id) < (right($6, 26), $6))
ORDER BY ulid DESC, id DESC LIMIT $7
"""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A resource as it is served: its JSON, and what conditions look at."""

    id: str
    revision: int
    phase: str
    document: str


async def remove_requested(tx: Connection, resource_id: str) -> None:
    """Stop showing a resource of which nothing but the request is known."""
    await tx.execute("DELETE FROM resources WHERE id = $1 AND revision = 0", resource_id)


async def upsert(tx: Connection, resource: Resource) -> None:
    """Show ``resource``, unless something newer is shown already; its row is locked either way."""
    await tx.execute(_UPSERT, *values(resource))


async def find(database: Database, tenant: str, resource_id: str) -> Shown | None:
    """Return the tenant's resource."""
    query = "SELECT id, revision, phase, document FROM resources WHERE id = $1 AND tenant = $2"
    async with database.connection() as connection:
        found = await connection.fetchrow(query, resource_id, tenant)
    return None if found is None else msgspec.convert(dict(found), Shown)


async def page(database: Database, tenant: str, wanted: ResourceFilter) -> Sequence[Shown]:
    """Return one page, newest first, and one more when there is a next page."""
    async with database.connection() as connection:
        rows = await connection.fetch(
            _PAGE,
            *(tenant, wanted.kind, [str(phase) for phase in wanted.phases], wanted.name),
            *(wanted.labels, wanted.after, wanted.limit + 1),
        )
    return [msgspec.convert(dict(row), Shown) for row in rows]


def as_requested(resource: Resource) -> Shown:
    """Return how a resource is shown that has just been asked for."""
    document = msgspec.json.encode(without_secrets(resource)).decode()
    return Shown(
        id=resource.id, revision=resource.revision, phase=resource.status.phase, document=document
    )


def values(resource: Resource) -> tuple[object, ...]:
    """Return the columns of its row, in the order of the statements here, without ``ulid``.

    Labels are JSON in a text.
    """
    shown = without_secrets(resource)
    document = msgspec.json.encode(shown).decode()
    return (
        *(shown.id, shown.tenant, shown.kind, shown.name, str(shown.status.phase)),
        *(msgspec.json.encode(shown.labels).decode(), shown.revision),
        *(shown.updated_at, document),
    )
