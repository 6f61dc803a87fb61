"""Who lives on a cluster that is to go, as the ledger knows it: told with the order for its end.

The cluster itself could be asked as well, but it may be silent, and whoever owns it can let it show
what they like. Only the ledger knows which apps are still anybody's.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from services.scheduler.state import Command, Decision
from shared.contract.messages import DeprovisionCluster
from shared.storage import Connection

#: How many are named: more than anybody reads.
_MOST = 50
#: Those that wait hold nothing yet, and are told themselves that their cluster goes.
_APPS = """
SELECT id FROM resources WHERE kind = 'app' AND tenant = $1
    AND phase IN ('provisioning', 'active', 'deprovisioning')
    AND state #>> '{resource,spec,cluster}' = $2 ORDER BY id LIMIT $3
"""


async def informed(tx: Connection, decision: Decision) -> Decision:
    """Return the decision with its orders knowing who lives on what they end."""
    if not any(isinstance(one.message, DeprovisionCluster) for one in decision.commands):
        return decision
    resource = decision.state.resource
    rows = await tx.fetch(_APPS, resource.tenant, resource.id, _MOST)
    apps = tuple(row["id"] for row in rows)
    return replace(decision, commands=tuple(_told(one, apps) for one in decision.commands))


def _told(command: Command, apps: tuple[str, ...]) -> Command:
    order = command.message
    if not isinstance(order, DeprovisionCluster):
        return command
    return replace(command, message=msgspec.structs.replace(order, apps=apps))
