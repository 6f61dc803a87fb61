"""What the ledger forgets: the inbox's memory of deliveries."""

from __future__ import annotations

from datetime import timedelta

from services.scheduler.context import Context
from shared.storage import forget_old

#: How often, in seconds.
INTERVAL = 3600.0


async def forget(context: Context) -> None:
    """Forget deliveries older than ``inbox_days``: no broker gives those back any more."""
    async with context.database.transaction() as tx:
        await forget_old(tx, timedelta(days=context.settings.inbox_days))
