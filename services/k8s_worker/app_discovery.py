"""Where an app's objects belong, by the cluster's own discovery: a manifest's word is no path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from services.k8s_worker.app_backend import AppObjects, ManifestRefused
from services.k8s_worker.app_inventory import WHOLE_CLUSTER, Entry, group
from services.k8s_worker.kubernetes_connection import KubernetesConnection


class _Resource(msgspec.Struct):
    """A kind as the API server's discovery shows it, and subresources ("pods/log") alike."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9./-]{0,252}$")]
    kind: str
    namespaced: bool


class Resources(msgspec.Struct):
    """What a version of a group has."""

    resources: list[_Resource] | None = None


async def entry_of(
    connection: KubernetesConnection,
    found: dict[str, Resources],
    app: AppObjects,
    one: Mapping[str, Any],
) -> Entry:
    """Return where an object belongs; ``found`` keeps what was asked of the cluster for others.

    Raises `Unanswered`, and `ManifestRefused` for a kind that the cluster does not know, or that an
    app may not have.
    """
    api, kind, name = one["apiVersion"], one["kind"], one["metadata"]["name"]
    if api not in found:
        answer = await connection.get(group(api), Resources)
        if answer.status == 404:
            raise ManifestRefused(f"{kind} {name}: the cluster knows no {api}.")
        found[api] = answer.value()
    for resource in found[api].resources or ():
        if resource.kind == kind and "/" not in resource.name:
            place = one["metadata"].get("namespace") or "" if resource.namespaced else WHOLE_CLUSTER
            if place and not app.anywhere:
                where = f"in {place}" if resource.namespaced else "of the whole cluster"
                detail = f"{kind} {name}: it is {where}; an app has what is in its namespace."
                raise ManifestRefused(detail)
            return Entry(api, resource.name, kind, name, place)
    raise ManifestRefused(f"{kind} {name}: the cluster knows no {kind} in {api}.")
