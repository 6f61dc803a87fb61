"""Apps at the front door: manifests are read and looked at, and their Secrets sealed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.contract.identifiers import new_id
from tests.integration.front_door.harness import Door, House, Neighbours, Tenant

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECRET = "tops3cret-of-an-app"
YAML = f"""
apiVersion: v1
kind: Secret
metadata: {{name: access}}
stringData: {{password: {SECRET}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{since: 2020-01-01}}
"""
CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings"},
    "data": {"since": "2020-01-01"},
}


async def a_cluster(door: Door, tenant: Tenant) -> str:
    """One that was asked for."""
    made = await door.post("/v1/clusters", tenant, {"node_count": 1, "version": "1.20"})
    return str(made.json["id"])


async def test_yaml_is_read_and_its_secrets_are_sealed_to_the_worker(
    door: Door, house: House, neighbours: Neighbours, tenant: Tenant
) -> None:
    """They are in no table, message or answer, neither from a create nor from a change."""
    cluster = await a_cluster(door, tenant)
    made = await door.post("/v1/apps", tenant, {"cluster": cluster, "manifests": YAML})
    assert made.status == 202, made.body
    assert made.json["spec"] == {"cluster": cluster, "manifests": [CONFIG]}
    change = {"manifests": YAML, "secret_manifests": []}
    path = f"/v1/apps/{made.json['id']}"
    assert (await door.request("PATCH", path, tenant, json=change)).status == 202
    _, create, update = await neighbours.requests(tenant, 3)
    for message in (create, update):
        assert message.spec["manifests"] == [CONFIG]
        box = message.spec["sealed_secret_manifests"]
        (secret,) = msgspec.json.decode(house.sealing_keys["k8s_worker"].open(box))
        assert secret["stringData"]["password"] == SECRET
    deliveries = await neighbours.deliveries(tenant, 3)
    rows = await house.sql("SELECT * FROM requests WHERE tenant = $1", tenant.name)
    rows += await house.sql("SELECT * FROM resources WHERE tenant = $1", tenant.name)
    assert SECRET not in repr([dict(row) for row in rows]) + repr(deliveries)
    shown = (await door.get(path, tenant)).body
    assert SECRET.encode() not in shown
    assert b"secret_manifests" not in shown


@pytest.mark.parametrize(
    ("more", "pointer", "words"),
    [
        ({"manifests": [{**CONFIG, "metadata": {"name": "a", "namespace": "b"}}]},
         "/manifests/0/metadata/namespace", "namespace of its own"),
        ({"manifests": YAML.replace("{name: settings}", "{name: settings, namespace: b}")},
         "/manifests", "manifests[1].metadata.namespace"),
        ({"manifests": [{**CONFIG, "kind": "Namespace"}]}, "/manifests/0/kind", "whole cluster"),
        ({"manifests": f"a: [{SECRET}"}, "/manifests", "no YAML"),
        ({"manifests": []}, None, ""),
        ({"image": "nginx", "manifests": []}, "/manifests", "not both"),
        ({"image": "nginx", "port": 0}, "/port", ">= 1"),
    ],
)  # fmt: skip
async def test_a_bad_field_is_named_and_no_secret_quoted(
    door: Door, tenant: Tenant, more: dict[str, Any], pointer: str | None, words: str
) -> None:
    """Before anything is asked of anybody."""
    body = {"cluster": await a_cluster(door, tenant), **more}
    answer = await door.post("/v1/apps", tenant, body)
    if pointer is None:
        assert answer.status == 202
        return
    assert answer.status == 422
    found = {one["pointer"]: one["detail"] for one in answer.problem["errors"]}
    assert words in found[pointer]
    assert SECRET.encode() not in answer.body


async def test_its_cluster_must_be_the_tenants_own(
    door: Door, tenant: Tenant, other_tenant: Tenant
) -> None:
    """One that isn't there is answered alike."""
    for cluster in (await a_cluster(door, other_tenant), new_id("cluster")):
        answer = await door.post("/v1/apps", tenant, {"cluster": cluster, "image": "nginx"})
        assert answer.status == 422
        (fault,) = answer.problem["errors"]
        assert (fault["pointer"], fault["detail"]) == ("/cluster", "There is no such cluster.")
