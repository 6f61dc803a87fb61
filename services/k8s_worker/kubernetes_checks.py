"""Whether a cluster has what its template promises: each check asks for one object."""

from __future__ import annotations

from services.k8s_worker.backend import Check, Checked
from services.k8s_worker.kubernetes_connection import KubernetesConnection
from services.k8s_worker.kubernetes_objects import ShownDaemonSet, ShownDeployment, ShownEndpoints


async def check(connection: KubernetesConnection, what: Check) -> Checked:
    """Return what came of it; raises `Unanswered` when nobody answers."""
    words = await _CHECKS[what.kind](connection, what)
    return Checked(what.name, f"{what.target} {words}" if words else "")


async def _service(connection: KubernetesConnection, what: Check) -> str:
    """The control plane lists the pods behind a Service that are ready."""
    path = f"/api/v1/namespaces/{what.namespace}/endpoints/{what.object}"
    answer = await connection.get(path, ShownEndpoints)
    if answer.status == 404:
        return "is not there"
    ready = any(one.addresses for one in answer.value().subsets or ())
    return "" if ready else "has no ready endpoint"


async def _deployment(connection: KubernetesConnection, what: Check) -> str:
    path = f"/apis/apps/v1/namespaces/{what.namespace}/deployments/{what.object}"
    answer = await connection.get(path, ShownDeployment)
    if answer.status == 404:
        return "is not there"
    status = answer.value().status
    conditions = (status and status.conditions) or ()
    available = any(one.type == "Available" and one.status == "True" for one in conditions)
    return "" if available else "is not available"


async def _daemon_set(connection: KubernetesConnection, what: Check) -> str:
    path = f"/apis/apps/v1/namespaces/{what.namespace}/daemonsets/{what.object}"
    answer = await connection.get(path, ShownDaemonSet)
    if answer.status == 404:
        return "is not there"
    status = answer.value().status
    ready, wanted = (status.number_ready, status.desired_number_scheduled) if status else (0, 0)
    return "" if 0 < wanted <= ready else f"is ready on {ready} of {wanted} nodes"


_CHECKS = {"Service": _service, "Deployment": _deployment, "DaemonSet": _daemon_set}
