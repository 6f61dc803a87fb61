"""The namespaces of apps: each is called as its resource, and all of an app is in its own."""

from __future__ import annotations

from collections.abc import Mapping

from services.k8s_worker.app_backend import RESOURCE, AppObjects
from services.k8s_worker.app_inventory import MANAGER, selector
from services.k8s_worker.backend import Unanswered
from services.k8s_worker.kubernetes_connection import KubernetesConnection, Page
from services.k8s_worker.kubernetes_objects import Anything
from shared.contract.identifiers import is_id

#: How many apps of a cluster are named.
_MOST_APPS = 50
_BACKGROUND = {"propagationPolicy": "Background"}


async def make(connection: KubernetesConnection, app: AppObjects) -> None:
    """Let it be there, marked as the app's; raises `Unanswered`, also while it goes."""
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": app.namespace, "labels": dict(app.labels)},
    }
    path = f"/api/v1/namespaces/{app.namespace}"
    made = (await connection.patch(path, body, Anything, **MANAGER)).value()
    if made.metadata.deletion_timestamp is not None:
        raise Unanswered(f"The namespace {app.namespace} is still being removed.")


async def apps(connection: KubernetesConnection, labels: Mapping[str, str]) -> dict[str, bool]:
    """Return the apps whose namespaces bear these labels, and which of them are going.

    They are `_MOST_APPS` at most. Whoever owns the cluster may put labels on
    anything: what isn't named as we name it is none.
    """
    found = await connection.get(
        "/api/v1/namespaces", Page[Anything], limit=_MOST_APPS, labelSelector=selector(labels)
    )
    shown = [one.metadata for one in found.value().items or ()]
    return {
        one.name: one.deletion_timestamp is not None
        for one in shown
        if is_id(one.name, "app") and (one.labels or {}).get(RESOURCE) == one.name
    }


async def remove(connection: KubernetesConnection, namespace: str) -> bool:
    """Order the end of the namespace; False when there is none. Raises `Unanswered`."""
    path = f"/api/v1/namespaces/{namespace}"
    answer = await connection.delete(path, dict, **_BACKGROUND)
    if answer.status not in (404, 409):  # 409: it is going already
        answer.value()
    return answer.status != 404
