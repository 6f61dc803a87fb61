"""Clusters at the front door: what is asked for, what is changed, and what opens them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.contract.codec import Envelope
from shared.contract.messages import GetKubeconfig, KubeconfigIssued, Message
from shared.contract.problems import Reason
from shared.contract.resources import Phase, Placement, Resource, Status
from shared.runtime.errors import PermanentError
from shared.runtime.secrets import SealingKey, seal
from tests.integration.front_door.harness import Door, Neighbours, Tenant, a_resource
from tests.support.bus import until

pytestmark = pytest.mark.asyncio(loop_scope="session")
SPEC: dict[str, Any] = {"node_count": 2, "version": "1.20"}
FILE = "apiVersion: v1\nkind: Config\n"
END = datetime(2030, 1, 1, tzinfo=UTC)


async def a_cluster(
    door: Door, neighbours: Neighbours, tenant: Tenant, phase: Phase = Phase.ACTIVE
) -> Resource:
    """A cluster in this phase that the front door shows."""
    status = Status(
        phase=phase, placement=Placement(cloud="devcloud"), outputs={"cluster_id": "m-1"}
    )
    resource = a_resource(tenant, phase, kind="cluster", spec=SPEC, revision=1, status=status)
    await neighbours.publish_status(resource)

    async def there() -> bool:
        return (await door.get(f"/v1/clusters/{resource.id}", tenant)).status == 200

    await until(there)
    return resource


def issued(query: GetKubeconfig, key: str | None = None) -> KubeconfigIssued:
    return KubeconfigIssued(
        api_address="https://203.0.113.20:6443",
        expires_at=END,
        sealed_kubeconfig=seal(key or query.public_key, FILE.encode()),
    )


async def test_a_cluster_is_asked_for_and_resized(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """A node count and a version are enough; the change is an operation, shown at once."""
    made = await door.post("/v1/clusters", tenant, SPEC)
    assert made.status == 202, made.body
    path = f"/v1/clusters/{made.json['id']}"
    changed = await door.request("PATCH", path, tenant, json={"node_count": 5})
    assert changed.status == 202, changed.body
    (operation,) = changed.json["status"]["operations"]
    assert (operation["verb"], operation["node_count"]) == ("update", 5)
    create, update = await neighbours.requests(tenant, 2)
    assert create.spec == SPEC
    assert (update.spec, update.operation_id) == ({"node_count": 5}, operation["id"])


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, "/node_count"),
        ({"node_count": 0, "version": "1.20"}, "/node_count"),
        ({"node_count": 1, "version": "latest"}, "/version"),
        ({"node_count": 1, "version": "1.20", "size": 3}, "/size"),
    ],
)
async def test_a_bad_field_is_named(door: Door, tenant: Tenant, body: object, wrong: str) -> None:
    """Before anything is asked of anybody."""
    answer = await door.post("/v1/clusters", tenant, body)
    assert answer.status == 422
    assert wrong in [error["pointer"] for error in answer.problem["errors"]]


async def test_a_kubeconfig_is_opened_for_its_owner_and_no_cache_keeps_it(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Sealed to a key of this request; its end is told."""
    asked: list[tuple[Envelope, GetKubeconfig]] = []

    def issue(envelope: Envelope, query: GetKubeconfig) -> Message:
        asked.append((envelope, query))
        return issued(query)

    neighbours.answers[GetKubeconfig] = issue
    cluster = await a_cluster(door, neighbours, tenant)
    answers = [await door.get(f"/v1/clusters/{cluster.id}/kubeconfig", tenant) for _ in range(2)]
    for answer in answers:
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
        assert answer.json == {
            "kubeconfig": FILE,
            "api_address": "https://203.0.113.20:6443",
            "expires_at": "2030-01-01T00:00:00Z",
        }
    (envelope, query), (_, again) = asked
    assert (envelope.tenant, envelope.subject) == (tenant.name, cluster.id)
    assert (query.cloud, query.cluster, query.cluster_id) == ("devcloud", cluster.id, "m-1")
    assert query.public_key != again.public_key


async def test_kubeconfigs_are_for_members_of_the_owner_alone(
    door: Door, neighbours: Neighbours, tenant: Tenant, other_tenant: Tenant
) -> None:
    """The worker isn't even asked."""
    neighbours.answers.pop(GetKubeconfig, None)
    cluster = await a_cluster(door, neighbours, tenant)
    path = f"/v1/clusters/{cluster.id}/kubeconfig"
    assert (await door.get(path, tenant.reader)).problem["reason"] == "forbidden"
    assert (await door.get(path, other_tenant)).problem["reason"] == "not_found"
    assert (await door.request("GET", path)).status == 401


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.ACTIVE])
async def test_not_ready_yet_and_not_any_more_are_conflicts(
    door: Door, neighbours: Neighbours, tenant: Tenant, phase: Phase
) -> None:
    """409, and which of both; no outage."""
    neighbours.answers.pop(GetKubeconfig, None)
    cluster = await a_cluster(door, neighbours, tenant, phase)
    answer = await door.get(f"/v1/clusters/{cluster.id}/kubeconfig", tenant)
    ended = phase in {Phase.DEPROVISIONING, Phase.DELETED, Phase.FAILED}
    expected = "wrong_phase" if ended else "cluster_not_ready"
    assert (answer.status, answer.problem["reason"]) == (409, expected)


async def test_the_workers_own_problem_is_passed_on(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """A box that can't be opened is one, too."""
    cluster = await a_cluster(door, neighbours, tenant)
    path = f"/v1/clusters/{cluster.id}/kubeconfig"

    def early(_: Envelope, __: GetKubeconfig) -> Message:
        raise PermanentError("not ready yet", reason=Reason.CLUSTER_NOT_READY, status=409)

    def damaged(_: Envelope, query: GetKubeconfig) -> Message:
        return issued(query, SealingKey.generate().public_key)

    neighbours.answers[GetKubeconfig] = early
    answer = await door.get(path, tenant)
    assert (answer.status, answer.problem["reason"]) == (409, "cluster_not_ready")
    neighbours.answers[GetKubeconfig] = damaged
    assert (await door.get(path, tenant)).status == 503
