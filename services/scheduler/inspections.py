"""Inspections: one command per worker, cloud and interval asks about all that is waited for."""

from __future__ import annotations

from datetime import timedelta

from services.scheduler.context import Context
from services.scheduler.ledger import utc_now
from services.scheduler.workflows import WORKFLOWS
from shared.contract import outgoing
from shared.contract.codec import envelope_for

#: An inspection that has not started by then is useless, the next one is on its way.
LIFE = timedelta(seconds=5)
#: The tenant of commands that are about several tenants' resources.
NOBODY = "colobus"


async def inspect_waiting(context: Context) -> None:
    """Ask about everything with an open wait."""
    await _inspect(context, "fast")


async def inspect_living(context: Context) -> None:
    """Ask about everything alive: what was removed behind our back shows up."""
    await _inspect(context, "slow")


async def _inspect(context: Context, inspection: str) -> None:
    clouds = dict.fromkeys(cloud for tenant in context.tenants for cloud in tenant.projects)
    async with context.recording() as recording:
        for definition in WORKFLOWS.values():
            for cloud in clouds:
                states = await context.ledger.inspected(
                    recording.tx, definition.kind, cloud, inspection
                )
                if not states:
                    continue
                command = definition.inspect(cloud, states)
                envelope = envelope_for(
                    command,
                    source=context.ledger.source,
                    subject=f"{definition.worker}/{cloud}",
                    tenant=NOBODY,
                    not_after=utc_now() + LIFE,
                )
                recording.send([outgoing.command(definition.worker, envelope, command)])
