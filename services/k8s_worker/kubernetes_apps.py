"""An app's objects, applied in its namespace and removed with it.

What a kind's scope is, and what it is called in paths, is asked of the cluster: an object of the
whole cluster is refused, whatever its kind, and the namespace of a path is never the manifest's;
unless the operator lets the tenant's apps be anywhere. What they have outside of their own
namespace is only theirs while it bears their label: nothing else is written over, or removed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from services.k8s_worker import app_inventory as inventory
from services.k8s_worker import app_namespaces as namespaces
from services.k8s_worker.app_backend import RESOURCE, AppObjects, ManifestRefused
from services.k8s_worker.app_discovery import Resources, entry_of
from services.k8s_worker.app_inventory import MANAGER, WHOLE_CLUSTER, Entry, Inventory
from services.k8s_worker.backend import Unanswered
from services.k8s_worker.kubernetes_connection import Answer, KubernetesConnection
from shared.contract.manifests import is_secret

#: What others start with goes first; all else as it came.
_FIRST = (
    "Namespace",
    "ClusterRole",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "PersistentVolumeClaim",
    "Role",
    "RoleBinding",
)
#: What an answer says of the moment, and not of what was asked.
_FOR_NOW = frozenset({401, 408, 409, 429})
#: What Kubernetes before 1.22 says with 500 of an object that is not as its kind's schema wants it.
_MALFORMED = "failed to create typed patch object"
#: What a webhook says with 400 that has effects of its own.
_NO_DRY_RUN = "does not support dry run"
#: What is forbidden of a Pod until a controller has made the namespace's first account, of anything
#: while the namespace goes, and of us until the cluster's own roles are there.
_COMES_RIGHT = re.compile(
    r"error looking up service account [^ ]+/default:|because it is being terminated"
    r'|is forbidden: User "[^"]*" cannot '
)
_DELETE = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
_Placed = tuple[Entry, Mapping[str, Any]]


class _Identity(msgspec.Struct):
    uid: Annotated[str, Meta(min_length=1, max_length=64)]
    labels: dict[str, str] | None = None

    def is_of(self, app: str) -> bool:
        """Tell whether it bears the app's label."""
        return (self.labels or {}).get(RESOURCE) == app


class _Shown(msgspec.Struct):
    """Any object, as far as its identity goes: names may be such as RBAC's."""

    metadata: _Identity


async def apply(connection: KubernetesConnection, app: AppObjects, seconds: float) -> None:
    """Apply all of it within so many seconds; raises `Unanswered` and `ManifestRefused`.

    Of a change that is refused nothing is applied, as far as the cluster can tell beforehand.
    """
    async with connection.within(seconds):
        known: dict[str, Resources] = {}
        ordered = sorted(app.objects, key=_rank)
        placed = [(await entry_of(connection, known, app, one), one) for one in ordered]
        for entry, _ in placed:
            await _check_owner(connection, app.namespace, entry)
        await namespaces.make(connection, app)
        before = await _before(connection, app.namespace)
        if before.all:
            await _try_all(connection, app, placed)
        wanted = frozenset(entry for entry, _ in placed)
        if app.keeps_secrets:
            wanted |= {one for one in before.all if (one.api, one.kind) == ("v1", "Secret")}
        if len(before.all | wanted) > inventory.MOST:  # changes that failed, one after the other
            await _prune(connection, app.namespace, before.all - wanted)
            before = Inventory(before.there & wanted, before.coming & wanted)
        await _note(connection, app, before.there, before.coming | wanted)
        applied = await _apply_all(connection, app, before, placed)
        await _prune(connection, app.namespace, before.all - wanted, applied)
        await _note(connection, app, wanted)


async def remove(connection: KubernetesConnection, namespace: str) -> bool:
    """Order the end of all of it; False when there is no such namespace. Raises `Unanswered`.

    What it has elsewhere goes first: what it is, the namespace alone tells.
    """
    book = await _before(connection, namespace)
    await _prune(connection, namespace, {one for one in book.all if one.place})
    return await namespaces.remove(connection, namespace)


async def _check_owner(connection: KubernetesConnection, app: str, entry: Entry) -> None:
    """Raise `ManifestRefused` where something is there, outside, that is not the app's."""
    if not entry.place:
        return
    shown = await connection.get(entry.path(app), _Shown)
    if shown.status != 404 and not shown.value().metadata.is_of(app):
        detail = f"{entry.kind} {entry.name}: there is one already, and it is not this app's."
        raise ManifestRefused(detail)


async def _before(connection: KubernetesConnection, namespace: str) -> Inventory:
    """What somebody has made unreadable is written anew; what it named stays until the app ends."""
    try:
        return await inventory.read(connection, namespace) or Inventory()
    except inventory.Unreadable:
        return Inventory()


async def _note(
    connection: KubernetesConnection,
    app: AppObjects,
    there: frozenset[Entry],
    coming: frozenset[Entry] = frozenset(),
) -> None:
    book = Inventory(there, coming - there)
    await inventory.write(connection, app.namespace, app.labels, book)


async def _try_all(
    connection: KubernetesConnection, app: AppObjects, placed: Sequence[_Placed]
) -> None:
    """Ask whether they would be taken; what can't be told is seen when they are applied."""
    for entry, one in placed:
        path, body = entry.path(app.namespace), _marked(entry, one, app)
        answer = await connection.patch(path, body, msgspec.Raw, dryRun="All", **MANAGER)
        if answer.good or _NO_DRY_RUN in answer.said:
            continue
        if answer.status == 404 and entry.place:  # its namespace may be one of the others
            continue
        fault = _refusal(entry, answer, withheld=is_secret(one))
        if isinstance(fault, ManifestRefused):
            raise fault


async def _apply_all(
    connection: KubernetesConnection,
    app: AppObjects,
    before: Inventory,
    placed: Sequence[_Placed],
) -> frozenset[str]:
    """Return the objects' uids; what is refused midway leaves an inventory of what is there."""
    uids: set[str] = set()
    done: set[Entry] = set()
    try:
        for entry, one in placed:
            uids.add(await _apply_one(connection, app, entry, one))
            done.add(entry)
    except ManifestRefused:
        await _note(connection, app, before.there | done, before.coming)
        raise
    return frozenset(uids)


async def _apply_one(
    connection: KubernetesConnection, app: AppObjects, entry: Entry, one: Mapping[str, Any]
) -> str:
    """Return the object's uid; it is the same under whatever version it was applied."""
    path, body = entry.path(app.namespace), _marked(entry, one, app)
    answer = await connection.patch(path, body, _Shown, **MANAGER)
    if not answer.good:
        raise _refusal(entry, answer, withheld=is_secret(one))
    return answer.value().metadata.uid


def _marked(entry: Entry, one: Mapping[str, Any], app: AppObjects) -> dict[str, Any]:
    metadata = {name: value for name, value in one["metadata"].items() if name != "namespace"}
    if entry.place != WHOLE_CLUSTER:
        metadata["namespace"] = entry.place or app.namespace
    labels = {**(metadata.get("labels") or {}), **app.labels}
    return {**one, "metadata": {**metadata, "labels": labels}}


def _refusal(entry: Entry, answer: Answer[Any], *, withheld: bool) -> Exception:
    """An API server quotes what it can't take: of a Secret nothing is told but the status."""
    words = f"the API server answers {answer.status}" if withheld else answer.words
    detail = f"{entry.kind} {entry.name}: {words}"
    for_now = answer.status in _FOR_NOW or not 400 <= answer.status < 500
    if for_now and _MALFORMED in answer.said:
        for_now = False
    if answer.status == 403 and _COMES_RIGHT.search(answer.said):
        for_now = True
    return Unanswered(detail) if for_now else ManifestRefused(detail)


async def _prune(
    connection: KubernetesConnection,
    namespace: str,
    entries: Iterable[Entry],
    applied: Collection[str] = (),
) -> None:
    """Remove these, but for objects that were ``applied`` under another version: they are one.

    Each is removed as it was seen: what took its place meanwhile is another.
    """
    for entry in sorted(entries):
        shown = await connection.get(entry.path(namespace), _Shown)
        if shown.status == 404:
            continue
        found = shown.value().metadata
        if found.uid in applied or (entry.place and not found.is_of(namespace)):
            continue
        options = {**_DELETE, "preconditions": {"uid": found.uid}}
        answer = await connection.delete(entry.path(namespace), msgspec.Raw, options=options)
        if answer.status != 404:
            answer.value()


def _rank(one: Mapping[str, Any]) -> int:
    return _FIRST.index(one["kind"]) if one["kind"] in _FIRST else len(_FIRST)
