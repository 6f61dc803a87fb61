"""The clusters' door: what we ask of one API server, each within a bound of time of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.k8s_worker import app_namespaces, kubernetes_app_look, kubernetes_apps
from services.k8s_worker.app_backend import AppLook, AppObjects
from services.k8s_worker.backend import Access, Check, Look, Node
from services.k8s_worker.kubernetes_checks import check
from services.k8s_worker.kubernetes_connection import KubernetesConnection, Page
from services.k8s_worker.kubernetes_drain import drain
from services.k8s_worker.kubernetes_objects import ShownNode, VersionInfo

#: Seconds for a whole look: who drips must not hold up those who look.
LOOK_SECONDS = 8.0
#: Labels that a node of the control plane has, by the words of its age.
_CONTROL_PLANE = ("node-role.kubernetes.io/master", "node-role.kubernetes.io/control-plane")
#: How much of a node's reason is told.
_LONGEST = 200


class KubernetesApi:
    """`services.k8s_worker.backend.ApiServer`; made inside a running loop; raises `Unanswered`."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._opened: KubernetesConnection | None = None

    async def look(self, checks: Sequence[Check] = ()) -> Look:
        """GET /version, /api/v1/nodes, and what the checks are about."""
        connection = self._connection()
        async with connection.within(LOOK_SECONDS):
            version = (await connection.get("/version", VersionInfo)).value()
            found = await connection.all_of("/api/v1/nodes", Page[ShownNode])
            checked = [await check(connection, one) for one in checks]
        workers = (_node(one) for one in found if not _is_control_plane(one))
        nodes = tuple(sorted(workers, key=lambda one: one.name))
        return Look(version.git_version, nodes, tuple(checked))

    async def drain(self, seconds: float) -> list[str]:
        """See `services.k8s_worker.kubernetes_drain`."""
        return await drain(self._connection(), seconds)

    async def apply_app(self, app: AppObjects, seconds: float) -> None:
        """See `services.k8s_worker.kubernetes_apps`; raises `ManifestRefused`, too."""
        await kubernetes_apps.apply(self._connection(), app, seconds)

    async def apps(self, labels: Mapping[str, str]) -> dict[str, bool]:
        """See `services.k8s_worker.app_namespaces`."""
        return await app_namespaces.apps(self._connection(), labels)

    async def remove_app(self, namespace: str) -> bool:
        """See `services.k8s_worker.kubernetes_apps`."""
        return await kubernetes_apps.remove(self._connection(), namespace)

    async def look_at_app(self, namespace: str, labels: Mapping[str, str]) -> AppLook | None:
        """See `services.k8s_worker.kubernetes_app_look`."""
        return await kubernetes_app_look.look_at_app(self._connection(), namespace, labels)

    def _connection(self) -> KubernetesConnection:
        if self._opened is None:
            self._opened = KubernetesConnection(self._access)
        return self._opened

    async def close(self) -> None:
        """Close its connections; calls that are under way end as unanswered."""
        if self._opened is not None:
            await self._opened.close()


def _is_control_plane(node: ShownNode) -> bool:
    labels = node.metadata.labels or {}
    return any(label in labels for label in _CONTROL_PLANE)


def _node(shown: ShownNode) -> Node:
    conditions = (shown.status and shown.status.conditions) or ()
    ready = next((one for one in conditions if one.type == "Ready"), None)
    addresses = {one.type: one.address for one in (shown.status and shown.status.addresses) or ()}
    is_ready = ready is not None and ready.status == "True"
    words = "it has not reported yet" if ready is None else ready.message or ready.reason or ""
    return Node(
        name=shown.metadata.name,
        ready=is_ready,
        address=addresses.get("InternalIP", ""),
        reason="" if is_ready else words[:_LONGEST],
    )
