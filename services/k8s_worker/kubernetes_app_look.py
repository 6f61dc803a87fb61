"""What a cluster shows of an app: its parts as its inventory names them, or that it is going."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.k8s_worker import app_inventory as inventory
from services.k8s_worker import rollout
from services.k8s_worker.app_backend import AppLook
from services.k8s_worker.app_inventory import Entry, collection
from services.k8s_worker.app_objects import Balanced, Condition, Pod, Workload
from services.k8s_worker.kubernetes_connection import KubernetesConnection, Page
from services.k8s_worker.kubernetes_objects import Object
from shared.contract.manifests import INVENTORY
from shared.contract.messages import AppPart

_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
#: What has an address.
_BALANCED = frozenset({"Ingress", "Service"})
#: What may be a part, by its kind: in which groups (``v1`` is of the one without a name).
_GROUPS = {
    **dict.fromkeys(_WORKLOADS, ("apps",)),
    "Ingress": ("networking.k8s.io", "extensions"),
    "Service": ("v1",),
}
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
        parts = _parts(namespace, wanted, found, pods)
        if any(not part.done and part.kind in _WORKLOADS for part in parts):
            path = collection("v1", "pods", namespace)
            pods += (await connection.get(path, Page[Pod], limit=_MOST)).value().items or ()
            parts = _parts(namespace, wanted, found, pods)
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
    return one.api.partition("/")[0] in _GROUPS.get(one.kind, ())


async def _shown(
    connection: KubernetesConnection, one: Entry, path: str, selector: str
) -> dict[str, Any]:
    query = {"labelSelector": selector}
    page: Any = Page[Balanced] if one.kind in _BALANCED else Page[Workload]
    shown = (await connection.get(path, page, limit=_MOST, **query)).value()
    return {item.metadata.name: item for item in shown.items or ()}


def _parts(
    namespace: str, wanted: Sequence[Entry], found: Mapping[str, Mapping[str, Any]], pods: list[Pod]
) -> list[AppPart]:
    parts = (_part(one, found[one.collection(namespace)], pods) for one in wanted)
    return [one for one in parts if one is not None]


def _part(one: Entry, found: Mapping[str, Any], pods: list[Pod]) -> AppPart | None:
    """Return what is said of it; None of a Service that has no load balancer: it has no more."""
    shown = found.get(one.name)
    if shown is None:
        return rollout.missing(one.kind, one.name)
    if not isinstance(shown, Balanced):
        return rollout.workload_part(one.kind, shown, pods)
    if one.kind == "Service" and (shown.spec is None or shown.spec.type != "LoadBalancer"):
        return None
    return rollout.balanced_part(one.kind, shown)
