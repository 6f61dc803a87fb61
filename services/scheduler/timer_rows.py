"""The timers of resources as rows: what decisions set, cancel and clear."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.scheduler.state import Decision
from shared.storage import Connection

_CLEAR = "DELETE FROM timers WHERE resource_id = ANY($1)"
_CANCEL = "DELETE FROM timers WHERE resource_id = $1 AND name = $2"
_SET = (
    "INSERT INTO timers (resource_id, name, due_at) VALUES ($1, $2, $3)"
    " ON CONFLICT (resource_id, name) DO UPDATE SET due_at = EXCLUDED.due_at"
)


async def write_timers(tx: Connection, decisions: Sequence[Decision]) -> None:
    """Write what follows from these, in their order: at most one statement of each sort."""
    cleared: dict[str, None] = {}
    wanted: dict[tuple[str, str], datetime | None] = {}
    for decision in decisions:
        resource_id = decision.state.resource.id
        if decision.clear_timers:
            cleared[resource_id] = None
            wanted = {key: due_at for key, due_at in wanted.items() if key[0] != resource_id}
        for name, due_at in (decision.timers or {}).items():
            wanted[resource_id, name] = due_at
    cancelled = [key for key, due_at in wanted.items() if due_at is None and key[0] not in cleared]
    due = [(*key, due_at) for key, due_at in wanted.items() if due_at is not None]
    if cleared:
        await tx.execute(_CLEAR, list(cleared))
    if cancelled:
        await tx.executemany(_CANCEL, cancelled)
    if due:
        await tx.executemany(_SET, due)
