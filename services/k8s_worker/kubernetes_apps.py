"""An app's objects, applied in its namespace and removed with it.

What a kind's scope is, and what it is called in paths, is asked of the cluster: an object of the
whole cluster is refused, whatever its kind, and the namespace of a path is never the manifest's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from services.k8s_worker import app_inventory as inventory
from services.k8s_worker.app_backend import RESOURCE, AppObjects, ManifestRefused
from services.k8s_worker.app_inventory import MANAGER, Entry, group, selector
from services.k8s_worker.backend import Unanswered
from services.k8s_worker.kubernetes_connection import Answer, KubernetesConnection, Page
from services.k8s_worker.kubernetes_objects import Anything
from shared.contract.identifiers import is_id
from shared.contract.manifests import is_secret

#: What others start with goes first; all else as it came.
_FIRST = ("ServiceAccount", "Secret", "ConfigMap", "PersistentVolumeClaim", "Role", "RoleBinding")
#: What an answer says of the moment, and not of what was asked.
_FOR_NOW = frozenset({401, 408, 409, 429})
#: How many apps of a cluster are named.
_MOST_APPS = 50
#: What Kubernetes before 1.22 says with 500 of an object that is not as its kind's schema wants it.
_MALFORMED = "failed to create typed patch object"
_BACKGROUND = {"propagationPolicy": "Background"}


class _Resource(msgspec.Struct):
    """A kind as the API server's discovery shows it, and subresources ("pods/log") alike."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9./-]{0,252}$")]
    kind: str
    namespaced: bool


class _Resources(msgspec.Struct):
    resources: list[_Resource] | None = None


async def apply(connection: KubernetesConnection, app: AppObjects, seconds: float) -> None:
    """Apply all of it within so many seconds; raises `Unanswered` and `ManifestRefused`."""
    async with connection.within(seconds):
        known: dict[str, _Resources] = {}
        ordered = sorted(app.objects, key=_rank)
        placed = [(await _entry(connection, known, one), one) for one in ordered]
        await _make_namespace(connection, app)
        labels, wanted = dict(app.labels), {entry for entry, _ in placed}
        before = await inventory.read(connection, app.namespace) or frozenset()
        if app.keeps_secrets:
            wanted |= {one for one in before if (one.api, one.kind) == ("v1", "Secret")}
        if len(before | wanted) > inventory.MOST:  # changes that failed, one after the other
            await _prune(connection, app.namespace, before - wanted)
            before &= wanted
        await inventory.write(connection, app.namespace, labels, before | wanted)
        for entry, one in placed:
            await _apply_one(connection, app, entry, one)
        await _prune(connection, app.namespace, before - wanted)
        await inventory.write(connection, app.namespace, labels, wanted)


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


async def _make_namespace(connection: KubernetesConnection, app: AppObjects) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": app.namespace, "labels": dict(app.labels)},
    }
    path = f"/api/v1/namespaces/{app.namespace}"
    made = (await connection.patch(path, body, Anything, **MANAGER)).value()
    if made.metadata.deletion_timestamp is not None:
        raise Unanswered(f"The namespace {app.namespace} is still being removed.")


async def _entry(
    connection: KubernetesConnection, found: dict[str, _Resources], one: Mapping[str, Any]
) -> Entry:
    """Return where an object belongs; ``found`` keeps what was asked of the cluster for others."""
    api, kind, name = one["apiVersion"], one["kind"], one["metadata"]["name"]
    if api not in found:
        answer = await connection.get(group(api), _Resources)
        if answer.status == 404:
            raise ManifestRefused(f"{kind} {name}: the cluster knows no {api}.")
        found[api] = answer.value()
    for resource in found[api].resources or ():
        if resource.kind == kind and "/" not in resource.name:
            if resource.namespaced:
                return Entry(api, resource.name, kind, name)
            detail = (
                f"{kind} {name}: it is of the whole cluster; an app has what is in its namespace."
            )
            raise ManifestRefused(detail)
    raise ManifestRefused(f"{kind} {name}: the cluster knows no {kind} in {api}.")


async def _apply_one(
    connection: KubernetesConnection, app: AppObjects, entry: Entry, one: Mapping[str, Any]
) -> None:
    answer = await connection.patch(
        entry.path(app.namespace), _marked(one, app), msgspec.Raw, **MANAGER
    )
    if not answer.good:
        raise _refusal(entry, answer, withheld=is_secret(one))


def _marked(one: Mapping[str, Any], app: AppObjects) -> dict[str, Any]:
    metadata = one["metadata"]
    labels = {**(metadata.get("labels") or {}), **app.labels}
    return {**one, "metadata": {**metadata, "namespace": app.namespace, "labels": labels}}


def _refusal(entry: Entry, answer: Answer[Any], *, withheld: bool) -> Exception:
    """An API server quotes what it can't take: of a Secret nothing is told but the status."""
    words = f"the API server answers {answer.status}" if withheld else answer.words
    detail = f"{entry.kind} {entry.name}: {words}"
    for_now = answer.status in _FOR_NOW or not 400 <= answer.status < 500
    if for_now and _MALFORMED in answer.words:
        for_now = False
    return Unanswered(detail) if for_now else ManifestRefused(detail)


async def _prune(
    connection: KubernetesConnection, namespace: str, entries: Iterable[Entry]
) -> None:
    for entry in sorted(entries):
        answer = await connection.delete(entry.path(namespace), msgspec.Raw, **_BACKGROUND)
        if answer.status != 404:
            answer.value()


def _rank(one: Mapping[str, Any]) -> int:
    return _FIRST.index(one["kind"]) if one["kind"] in _FIRST else len(_FIRST)
