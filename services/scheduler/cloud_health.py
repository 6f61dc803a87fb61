"""How the clouds have been doing lately, for placement."""

from __future__ import annotations

from services.scheduler.ledger import Transaction
from shared.contract.messages import CommandFailed
from shared.contract.problems import Reason

#: A failure counts for so long.
MEMORY = "5 minutes"
_CLOUDS_FAULT = frozenset(
    {Reason.BACKEND_UNAVAILABLE, Reason.BACKEND_TIMEOUT, Reason.NO_VALID_HOST}
)


async def note(tx: Transaction, cloud: str, failed: CommandFailed) -> None:
    """Count a failure that is the cloud's fault."""
    if failed.problem.reason not in _CLOUDS_FAULT:
        return
    await tx.execute(
        "INSERT INTO cloud_failures AS f (cloud, failures, last_failure_at) VALUES ($1, 1, now())"
        " ON CONFLICT (cloud) DO UPDATE SET last_failure_at = now(), failures ="
        " CASE WHEN f.last_failure_at < now() - $2::text::interval THEN 1 ELSE f.failures + 1 END",
        cloud,
        MEMORY,
    )


async def recent_failures(tx: Transaction) -> dict[str, int]:
    """How many failures each cloud has had of late."""
    rows = await tx.fetch(
        "SELECT cloud, failures FROM cloud_failures"
        " WHERE last_failure_at > now() - $1::text::interval",
        MEMORY,
    )
    return {row["cloud"]: row["failures"] for row in rows}
