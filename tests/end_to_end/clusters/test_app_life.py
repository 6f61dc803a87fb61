"""Apps from POST to rolled out and back to nothing, on the real Kubernetes."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest
import yaml
from kubernetes_asyncio.client import ApiException, CoreV1Api
from kubernetes_asyncio.config import new_client_from_config_dict

from colobus.client import Client
from colobus.errors import ApiError, ResourceEnded
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
from tests.support.conditions import eventually, meanwhile
from tests.support.installation import Installation
from tests.support.kubectl import Kubectl
from tests.support.leaks import Leaks, Tap, search
from tests.support.octavia import TenantNetwork
from tests.support.waiting import operation_ended, waited

WITHIN = 240.0
SECRET = "the-password-of-nobody-else"
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


#: Nobody runs its pods: the test says what a kubelet would say there. It has time to, also on a
#: machine that is busy; and yet the roll-out ends before Kubernetes removes pods of such a node.
PULLING = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  progressDeadlineSeconds: 30
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeName: nobodys
      containers: [{name: web, image: "registry.invalid/none:1"}]
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

    async def say_not_pulled(self, namespace: str, words: str) -> None:
        """Say of the namespace's pods what a kubelet says when it can't pull their image.

        Again and again, for ever, also of those that come later: as a kubelet does.
        """
        config = yaml.safe_load(self._kubeconfig)
        async with await new_client_from_config_dict(config) as opened:
            core = CoreV1Api(opened)
            while True:
                with _as_far_as_it_goes():
                    for pod in (await core.list_namespaced_pod(namespace)).items:
                        await core.patch_namespaced_pod_status(
                            pod.metadata.name, namespace, _not_pulled(pod, words)
                        )
                await asyncio.sleep(1)

    def has(self, namespace: str) -> bool:
        """Tell whether there is such a namespace."""
        return bool(self.ask("get", "namespace", namespace, "--ignore-not-found", "-o", "name"))


def _not_pulled(pod: Any, words: str) -> dict[str, Any]:
    (container,) = pod.spec.containers
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": words}}
    shown = {"name": container.name, "image": container.image, "imageID": ""}
    status = {**shown, "ready": False, "restartCount": 0, "state": waiting}
    return {"status": {"containerStatuses": [status]}}


@contextmanager
def _as_far_as_it_goes() -> Iterator[None]:
    """What is gone, or can't be had now, is tried again the next time."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError):
        return
    except ApiException as error:
        if error.status != 404 and error.status < 429:
            raise


@pytest.fixture(scope="module")
def cluster(
    house: Installation, magnum: Magnum, kubectl: Kubectl, balancers: TenantNetwork
) -> Iterator[tuple[str, Inside]]:
    """One cluster of two nodes for all tests here."""
    del magnum, balancers

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
    return await operation_ended(client, await client.change_app(id, change))


async def test_the_short_form_is_rolled_out_changed_and_removed(
    bigtop: Client, cluster: tuple[str, Inside], balancers: TenantNetwork
) -> None:
    """Its address is that of a load balancer before the nodes; nothing of either is left."""
    cluster_id, inside = cluster
    magnum_id = (await bigtop.get(cluster_id)).status.outputs["cluster_id"]
    made = await bigtop.create_app(
        CreateApp(
            cluster=cluster_id, image="nginx:1.25", port=80, replicas=2, host="web.example.org"
        )
    )
    active = await waited(bigtop, made.id)
    name = f"kube_ingress_{magnum_id}_{made.id}_app"
    seen = await asyncio.to_thread(balancers.balancer, name)
    assert active.status.outputs["addresses"] == list(seen.floating_ips)
    shown = inside.get(made.id, "ingress", "app")["status"]["loadBalancer"]["ingress"]
    assert active.status.outputs["addresses"] == [one["ip"] for one in shown]
    (port,) = inside.get(made.id, "service", "app")["spec"]["ports"]
    assert {at for _, at in seen.members} == {port["nodePort"]}
    assert len(seen.members) == 1  # both nodes are hollow, and at one address
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
    assert await asyncio.to_thread(balancers.balancers, magnum_id) == []


async def test_manifests_are_applied_with_their_secrets_and_what_a_change_leaves_out_goes(
    house: Installation, bigtop: Client, cluster: tuple[str, Inside]
) -> None:
    """Secrets are in the cluster alone: in no answer, message, table or log."""
    cluster_id, inside = cluster
    async with Tap.on(house) as tap:
        made = await bigtop.create_app(CreateApp(cluster=cluster_id, manifests=YAML))
        active = await waited(bigtop, made.id)
        assert [one["kind"] for one in active.spec["manifests"]] == ["ConfigMap", "Deployment"]
        assert set(active.spec) == {"cluster", "manifests"}
        secret = inside.get(made.id, "secret", "access")
        assert b64decode(secret["data"]["password"]).decode() == SECRET
        manager = inside.get(made.id, "deployment", "web")["metadata"]["managedFields"][0]
        assert (manager["manager"], manager["operation"]) == ("colobus", "Apply")

        fewer = [one for one in active.spec["manifests"] if one["kind"] == "Deployment"]
        changed = await _ended(bigtop, made.id, UpdateApp(manifests=tuple(fewer)))
        assert changed.state is OperationState.DONE, changed.error
        left = inside.ask("get", "--namespace", made.id, "configmaps,secrets", "-o", "name")
        assert "configmap/settings" not in left.split()
        assert "secret/access" in left.split()
        mixed = await _ended(bigtop, made.id, UpdateApp(image="nginx"))
        assert mixed.state is OperationState.FAILED

        await bigtop.delete(made.id)
        await waited(bigtop, made.id, Phase.DELETED)
        assert not inside.has(made.id)
        leaks = Leaks({"plain": SECRET.encode(), "base64": b64encode(SECRET.encode())})
        await search(leaks, house, tap)
    assert leaks.found == set()
    assert leaks.bytes_seen > 10_000


async def test_what_the_cluster_does_not_take_fails_with_its_words_and_leaves_nothing(
    bigtop: Client, cluster: tuple[str, Inside]
) -> None:
    """A kind of the whole cluster, one that it doesn't know, one that it refuses; no room."""
    cluster_id, inside = cluster
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "metadata": {"name": "mine"},
        "spec": {"token": "x"},
    }
    widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "mine"}}
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": 1}}
    large = next(one for one in yaml.safe_load_all(YAML) if one["kind"] == "Deployment")
    large["spec"]["template"]["spec"]["containers"][0]["resources"] = {
        "requests": {"cpu": "100000"}
    }
    for manifest, reason, words in (
        (review, "manifest_invalid", "TokenReview mine: it is of the whole cluster"),
        (widget, "manifest_invalid", "Widget mine: the cluster knows no example.org/v1"),
        (wrong, "manifest_invalid", "Service a: "),
        (large, "unschedulable", "ProgressDeadlineExceeded.*Unschedulable: 0/2 nodes"),
    ):
        made = await bigtop.create_app(CreateApp(cluster=cluster_id, manifests=(manifest,)))
        with pytest.raises(ResourceEnded, match=words):
            await bigtop.wait(made.id, timeout=WITHIN)
        ended = await bigtop.get(made.id)
        assert (ended.status.phase, ended.status.reason) == (Phase.FAILED, reason)
        assert not inside.has(made.id)
    elsewhere = {**widget, "metadata": {"name": "mine", "namespace": "kube-system"}}
    with pytest.raises(ApiError) as refused:
        await bigtop.create_app(CreateApp(cluster=cluster_id, manifests=(widget, elsewhere)))
    (fault,) = refused.value.problem.errors
    assert fault.pointer == "/manifests/1/metadata/namespace"


async def test_an_image_that_is_not_to_be_had_fails_in_the_kubelets_words(
    bigtop: Client, cluster: tuple[str, Inside]
) -> None:
    """Hollow nodes pull nothing: on a node that nobody runs the test speaks for the kubelet."""
    cluster_id, inside = cluster
    made = await bigtop.create_app(CreateApp(cluster=cluster_id, manifests=PULLING))
    async with meanwhile(inside.say_not_pulled(made.id, "no such manifest")):
        with pytest.raises(ResourceEnded, match="ImagePullBackOff: no such manifest"):
            await bigtop.wait(made.id, timeout=WITHIN)
    ended = await bigtop.get(made.id)
    assert (ended.status.phase, ended.status.reason) == (Phase.FAILED, "image_pull_failed")
    assert not inside.has(made.id)


async def test_a_cluster_with_apps_is_in_use_until_its_end_is_forced(
    bigtop: Client, cluster: tuple[str, Inside]
) -> None:
    """Who is on it is named; by force they go with it, and say what became of them."""
    cluster_id, _ = cluster
    made = await bigtop.create_app(CreateApp(cluster=cluster_id, image="nginx:1.25"))
    await waited(bigtop, made.id)
    await bigtop.delete(cluster_id)
    words = f"{cluster_id} is in use: {made.id}."
    await eventually(lambda: _says(bigtop, cluster_id, words), within=WITHIN, what="it is held")
    assert (await bigtop.get(cluster_id)).status.reason == "has_apps"
    await bigtop.delete(cluster_id, force=True)
    await waited(bigtop, cluster_id, Phase.DELETED)
    lost = await waited(bigtop, made.id, Phase.FAILED)
    assert lost.status.reason == "removed_externally"
    await bigtop.delete(made.id)
    await waited(bigtop, made.id, Phase.DELETED)
