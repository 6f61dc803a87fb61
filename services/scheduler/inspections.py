"""Inspections: one command per worker, cloud and interval asks about all that is waited for."""

from __future__ import annotations

from datetime import timedelta

from services.scheduler.context import Context
from services.scheduler.definitions import WorkflowDefinition
from services.scheduler.ledger import INSPECTED_AT_ONCE, utc_now
from services.scheduler.workflows import WORKFLOWS
from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.runtime import tracing

#: An inspection that has not started before the next one is on its way is useless; but it has at
#: least so long (seconds), for others of its cloud may be before it.
SHORTEST_LIFE = 5.0
#: The tenant of commands that are about several tenants' resources.
NOBODY = "colobus"


async def inspect_waiting(context: Context) -> None:
    """Ask about everything with an open wait."""
    await _inspect(context, "fast", context.settings.inspect_fast_seconds)


async def inspect_living(context: Context) -> None:
    """Ask about everything alive: what was removed behind our back shows up."""
    await _inspect(context, "slow", context.settings.inspect_slow_seconds)


async def _inspect(context: Context, inspection: str, interval: float) -> None:
    life = timedelta(seconds=max(SHORTEST_LIFE, interval))
    clouds = dict.fromkeys(cloud for tenant in context.tenants for cloud in tenant.projects)
    for definition in WORKFLOWS.values():
        for cloud in clouds:
            await _inspect_cloud(context, definition, cloud, inspection, life)


async def _inspect_cloud(
    context: Context, definition: WorkflowDefinition, cloud: str, inspection: str, life: timedelta
) -> None:
    """One command for each `INSPECTED_AT_ONCE` resources, usually one."""
    ledger, kind, after = context.ledger, definition.kind, ""
    while True:
        async with context.recording() as recording:
            states = await ledger.inspected(recording.tx, kind, cloud, inspection, after)
            if not states:
                return
            command = definition.inspect(cloud, states)
            # It is about many requests: a trace of its own, which what is seen is linked to.
            with tracing.span("inspect", parent=None):
                envelope = envelope_for(
                    command,
                    source=ledger.source,
                    subject=f"{definition.worker}/{cloud}",
                    tenant=NOBODY,
                    traceparent=tracing.traceparent(),
                    not_after=utc_now() + life,
                )
            recording.send([outgoing.command(definition.worker, envelope, command)])
        if len(states) < INSPECTED_AT_ONCE:
            return
        after = states[-1].resource.id
