"""What a cluster shows of an app: its parts as its inventory names them, or that it is going."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.k8s_worker import app_inventory as inventory
from services.k8s_worker import rollout
from services.k8s_worker.app_backend import AppLook
from services.k8s_worker.app_inventory import Entry, collection
from services.k8s_worker.app_objects import Condition, Ingress, Pod, Workload
from services.k8s_worker.kubernetes_connection import KubernetesConnection, Page
from services.k8s_worker.kubernetes_objects import Object
from shared.contract.manifests import INVENTORY
from shared.contract.messages import AppPart

_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
_GROUPS = {"Deployment": "apps", "StatefulSet": "apps", "DaemonSet": "apps"}
#: How many objects of a kind are looked at: more than an app may have, and of pods the first.
_MOST = 200
#: How many parts are told.
_MOST_PARTS = 100
#: Seconds for a whole look: who drips must not hold up those who look.
LOOK_SECONDS = 8.0
#: How much is told of what a namespace still has.
_LONGEST = 500


class _NamespaceStatus(msgspec.Struct):
    conditions: list[Condition] | None = None


class _Namespace(msgspec.Struct):
    metadata: Object
    status: _NamespaceStatus | None = None


async def look_at_app(
    connection: KubernetesConnection, namespace: str, labels: Mapping[str, str]
) -> AppLook | None:
    """Return what is there of it; None when there is no such namespace. Raises `Unanswered`."""
    async with connection.within(LOOK_SECONDS):
        book = await inventory.read(connection, namespace)
        if book is None:
            return await _without_inventory(connection, namespace)
        wanted = sorted(one for one in book.there if _is_part(one))[:_MOST_PARTS]
        selector = inventory.selector(labels)
        found: dict[str, dict[str, Any]] = {}
        for one in wanted:
            path = one.collection(namespace)
            if path not in found:
                found[path] = await _shown(connection, one, path, selector)
        pods: list[Pod] = []
        parts = [_part(one, found[one.collection(namespace)], pods) for one in wanted]
        if any(not part.done and part.kind in _WORKLOADS for part in parts):
            path = collection("v1", "pods", namespace)
            pods += (await connection.get(path, Page[Pod], limit=_MOST)).value().items or ()
            parts = [_part(one, found[one.collection(namespace)], pods) for one in wanted]
    return AppLook(parts=tuple(parts))


async def _without_inventory(connection: KubernetesConnection, namespace: str) -> AppLook | None:
    """It goes with the others, or before them; where nothing goes, somebody has removed it."""
    answer = await connection.get(f"/api/v1/namespaces/{namespace}", _Namespace)
    if answer.status == 404:
        return None
    shown = answer.value()
    if shown.metadata.deletion_timestamp is None:
        return AppLook(parts=(rollout.missing("ConfigMap", INVENTORY),))
    said = (shown.status and shown.status.conditions) or ()
    words = [one.message for one in said if one.status == "True" and one.message]
    going = f"The namespace {namespace} is being removed. " + " ".join(words)
    return AppLook(going=going.strip()[:_LONGEST])


def _is_part(one: Entry) -> bool:
    name = one.api.partition("/")[0]
    if one.kind == "Ingress":
        return name in ("networking.k8s.io", "extensions")
    return _GROUPS.get(one.kind) == name


async def _shown(
    connection: KubernetesConnection, one: Entry, path: str, selector: str
) -> dict[str, Any]:
    query = {"labelSelector": selector}
    page: Any = Page[Ingress] if one.kind == "Ingress" else Page[Workload]
    shown = (await connection.get(path, page, limit=_MOST, **query)).value()
    return {item.metadata.name: item for item in shown.items or ()}


def _part(one: Entry, found: Mapping[str, Any], pods: list[Pod]) -> AppPart:
    shown = found.get(one.name)
    if shown is None:
        return rollout.missing(one.kind, one.name)
    if isinstance(shown, Ingress):
        return rollout.ingress_part(shown)
    return rollout.workload_part(one.kind, shown, pods)
