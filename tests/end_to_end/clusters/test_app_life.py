"""Apps from POST to rolled out and back to nothing, on the real Kubernetes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from colobus.client import Client
from colobus.models import (
    CreateApp,
    CreateCluster,
    Operation,
    OperationState,
    Phase,
    Resource,
    UpdateApp,
)
from tests.end_to_end.clusters.conftest import Magnum
from tests.support.conditions import eventually
from tests.support.installation import Installation
from tests.support.kubectl import Kubectl
from tests.support.waiting import waited

WITHIN = 120.0
SECRET = "the-password-of-nobody-else"
#: A workload that asks for more than any node has is given up by the cluster after ten seconds.
YAML = f"""
apiVersion: v1
kind: Secret
metadata: {{name: access}}
stringData: {{password: {SECRET}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{level: info}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  progressDeadlineSeconds: 10
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: web
        image: nginx:1.25
        env: [{{name: PASSWORD, valueFrom: {{secretKeyRef: {{name: access, key: password}}}}}}]
        resources: {{requests: {{cpu: 100m}}}}
"""


class Inside:
    """A cluster as its owner sees it."""

    def __init__(self, kubectl: Kubectl, kubeconfig: str) -> None:
        self._kubectl, self._kubeconfig = kubectl, kubeconfig

    def ask(self, *words: str, stdin: str = "") -> str:
        """Run kubectl; what it prints."""
        done = self._kubectl.ask(self._kubeconfig, *words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, namespace: str, *words: str) -> Any:
        """What it shows, as JSON."""
        return json.loads(self.ask("get", "--namespace", namespace, "--output=json", *words))

    def has(self, namespace: str) -> bool:
        """Tell whether there is such a namespace."""
        return bool(self.ask("get", "namespace", namespace, "--ignore-not-found", "-o", "name"))

    def give_address(self, namespace: str, address: str) -> None:
        """Do what an ingress controller does."""
        path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/app"
        ingress = json.loads(self.ask("get", "--raw", path))
        ingress["status"] = {"loadBalancer": {"ingress": [{"ip": address}]}}
        words = ("replace", "--raw", f"{path}/status", "--filename=-")
        self.ask(*words, stdin=json.dumps(ingress))


@pytest.fixture(scope="module")
def cluster(house: Installation, magnum: Magnum, kubectl: Kubectl) -> Iterator[tuple[str, Inside]]:
    """One cluster of two nodes for all tests here."""
    del magnum

    async def made() -> tuple[str, str]:
        async with Client(house.url, token=house.tokens["bigtop"]) as client:
            asked = await client.create_cluster(CreateCluster(node_count=2, version="1.20"))
            await waited(client, asked.id)
            return asked.id, (await client.kubeconfig(asked.id)).kubeconfig

    async def gone(id: str) -> None:
        async with Client(house.url, token=house.tokens["bigtop"]) as client:
            await client.delete(id)
            await waited(client, id, Phase.DELETED)

    id, kubeconfig = asyncio.run(made())
    yield id, Inside(kubectl, kubeconfig)
    asyncio.run(gone(id))


async def _says(client: Client, id: str, words: str) -> Resource | None:
    found = await client.get(id)
    return found if words in (found.status.message or "") else None


async def _ended(client: Client, id: str, change: UpdateApp) -> Operation:
    asked = (await client.change_app(id, change)).status.operations[-1].id

    async def ended() -> Operation | None:
        operations = (await client.get(id)).status.operations
        return next((one for one in operations if one.id == asked and one.finished_at), None)

    return await eventually(ended, within=WITHIN, what="the change ends")


async def test_the_short_form_is_rolled_out_changed_and_removed(
    bigtop: Client, cluster: tuple[str, Inside]
) -> None:
    """It is active when its Ingress has an address, and not before; nothing of it is left."""
    cluster_id, inside = cluster
    made = await bigtop.create_app(
        CreateApp(
            cluster=cluster_id, image="nginx:1.25", port=80, replicas=2, host="web.example.org"
        )
    )
    await eventually(
        lambda: _says(bigtop, made.id, "Ingress app has no address yet."), within=WITHIN
    )
    inside.give_address(made.id, "203.0.113.7")
    active = await waited(bigtop, made.id)
    assert active.status.outputs["addresses"] == ["203.0.113.7"]
    assert active.status.outputs["namespace"] == made.id
    deployment = inside.get(made.id, "deployment", "app")
    assert deployment["status"]["availableReplicas"] == 2

    changed = await _ended(bigtop, made.id, UpdateApp(image="nginx:1.26", replicas=3))
    assert changed.state is OperationState.DONE, changed.error
    pods = inside.get(made.id, "pods")["items"]
    running = [one for one in pods if "deletionTimestamp" not in one["metadata"]]
    assert [one["spec"]["containers"][0]["image"] for one in running] == ["nginx:1.26"] * 3
    assert (await bigtop.get(made.id)).spec["image"] == "nginx:1.26"

    await bigtop.delete(made.id)
    await waited(bigtop, made.id, Phase.DELETED)
    assert not inside.has(made.id)
