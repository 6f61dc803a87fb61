"""The end of a cluster is ordered with the apps that the ledger has on it, and no others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from services.scheduler.dependents import informed
from services.scheduler.state import Command, Decision, ResourceState
from shared.contract.messages import DeprovisionCluster, Message, ResizeCluster
from shared.contract.resources import Phase, Resource, Status
from shared.storage import Connection
from tests.integration.scheduler.desk import desk

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLUSTER, OTHER = "cluster-01jz0000000000000000000000", "cluster-01jz0000000000000000000001"
ORDER = DeprovisionCluster(cloud="devcloud")
_INSERT = """
INSERT INTO resources (id, kind, tenant, phase, demand, state, created_at, updated_at)
VALUES ($1, $2, $3, $4, '{}', $5, $6, $6)
"""


def state_of(id: str, tenant: str, phase: Phase, cluster: str | None = None) -> ResourceState:
    resource = Resource(
        id=id,
        kind=id.split("-", maxsplit=1)[0],
        tenant=tenant,
        spec={} if cluster is None else {"cluster": cluster},
        status=Status(phase=phase),
        created_at=NOW,
        updated_at=NOW,
        revision=1,
    )
    return ResourceState(resource=resource, correlation_id="request-1")


async def keep(tx: Connection, state: ResourceState) -> None:
    one = state.resource
    await tx.execute(_INSERT, one.id, one.kind, one.tenant, one.status.phase.value, state, NOW)


async def test_those_that_live_on_it_are_named_and_no_others(
    ledger_dsn: str, tmp_path: Path
) -> None:
    """Not those that have ended or wait, nor another cluster's or tenant's."""
    async with (
        desk(ledger_dsn, tmp_path, {"bigtop": {}}) as made,
        made.database.transaction() as tx,
    ):
        phases = (Phase.ACTIVE, Phase.PROVISIONING, Phase.DEPROVISIONING)
        for number, phase in enumerate((*phases, Phase.WAITING, Phase.DELETED, Phase.FAILED)):
            await keep(tx, state_of(f"app-{number}", "bigtop", phase, CLUSTER))
        await keep(tx, state_of("app-7", "bigtop", Phase.ACTIVE, OTHER))
        await keep(tx, state_of("app-8", "littletop", Phase.ACTIVE, CLUSTER))
        state = state_of(CLUSTER, "bigtop", Phase.DEPROVISIONING)
        resize = ResizeCluster(cloud="devcloud", cluster_id="m", operation_id="o", node_count=1)
        decision = Decision(state, tuple(_command(one) for one in (ORDER, resize)))
        told = [one.message for one in (await informed(tx, decision)).commands]
    ordered, other = told
    assert isinstance(ordered, DeprovisionCluster)
    assert ordered.apps == ("app-0", "app-1", "app-2")
    assert other == resize


def _command(message: Message) -> Command:
    return Command("k8s_worker", message, "cluster", 1, NOW)
