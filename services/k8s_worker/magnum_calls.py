"""Magnum: one method per call.

Source: Container Infrastructure Management API v1. Its calls are made raw: openstacksdk knows no
``merge_labels`` when a cluster is made, no list with details and no order to resize.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from services.k8s_worker.backend import CREATING, Cluster, NewCluster, Template
from shared.contract.problems import Reason
from shared.openstack.calls import Calls
from shared.openstack.connections import VENDOR_ERRORS, answer_of, check, fault_of, raw
from shared.openstack.faults import translate
from shared.runtime.errors import BackendUnavailable, TemporaryError
from shared.worker.errors import NotFound, Refused

MAGNUM = "container-infra"
#: Since when there is an order to resize.
_RESIZE = {"OpenStack-API-Version": "container-infra 1.7"}
#: How many are asked for at once; Magnum gives fewer where it is told to.
_PAGE = 500
#: How oslo.messaging says that nobody has answered to an RPC.
_NO_CONDUCTOR = re.compile(r"\bTimed out waiting for a reply\b")
#: How Magnum says what it does not have (`magnum.common.exception`).
_MISSING = re.compile(r"\b(?P<what>Cluster|ClusterTemplate|Nodegroup) \S+ could not be found")


@dataclass(frozen=True)
class MagnumProject:
    """`services.k8s_worker.backend.Project` on openstacksdk."""

    cloud: str
    tenant: str
    calls: Calls

    async def clusters(self) -> list[Cluster]:
        """GET /clusters/detail, page by page."""
        try:
            found = await self.calls(partial(_all, "/clusters/detail", "clusters"))
        except Refused as error:
            raise _not_shown(error) from error
        own = self.calls.project_id
        return [_cluster(one) for one in found if one.get("project_id", own) == own]

    async def cluster(self, cluster_id: str) -> Cluster | None:
        """GET /clusters/{id}."""

        def get(cloud: Any) -> Any:
            return answer_of(raw(cloud, MAGNUM).get(f"/clusters/{cluster_id}"))

        try:
            return _cluster(await self.calls(get))
        except Refused as error:
            _check_gone(error)
            return None

    async def create_cluster(self, new: NewCluster) -> str:
        """POST /clusters: Magnum looks at flavors and images before it answers."""
        body: dict[str, Any] = {
            "name": new.name,
            "cluster_template_id": new.template_id,
            "node_count": new.node_count,
            "master_count": new.master_count,
            "labels": dict(new.labels),
            "merge_labels": True,
        }
        if new.flavor is not None:
            body["flavor_id"] = new.flavor

        def post(cloud: Any) -> Any:
            return answer_of(raw(cloud, MAGNUM).post("/clusters", json=body))

        try:
            made = await self.calls(post, missing=Reason.TEMPLATE_NOT_FOUND)
        except Refused as error:
            raise _missed(error) from error
        return str(made["uuid"])

    async def resize_cluster(self, cluster_id: str, node_count: int) -> None:
        """POST /clusters/{id}/actions/resize."""

        def post(cloud: Any) -> None:
            path, body = f"/clusters/{cluster_id}/actions/resize", {"node_count": node_count}
            answer_of(raw(cloud, MAGNUM).post(path, json=body, headers=_RESIZE))

        await self.calls(post)

    async def delete_cluster(self, cluster_id: str) -> bool:
        """DELETE /clusters/{id}."""

        def delete(cloud: Any) -> None:
            # Its 204 has a body, which is no JSON.
            check(raw(cloud, MAGNUM).delete(f"/clusters/{cluster_id}"))

        try:
            await self.calls(delete)
        except NotFound as error:
            _check_gone(error)
            return False
        return True

    async def templates(self) -> list[Template]:
        """GET /clustertemplates/detail: those of the project, and public ones."""
        found = await self.calls(partial(_all, "/clustertemplates/detail", "clustertemplates"))
        return [_template(one) for one in found]

    async def create_template(self, body: Mapping[str, Any]) -> Template:
        """POST /clustertemplates."""

        def post(cloud: Any) -> Any:
            return answer_of(raw(cloud, MAGNUM).post("/clustertemplates", json=dict(body)))

        return _template(await self.calls(post))

    async def authority(self, cluster_id: str) -> str:
        """GET /certificates/{cluster id}."""

        def get(cloud: Any) -> Any:
            with _of_a_certificate():
                return answer_of(raw(cloud, MAGNUM).get(f"/certificates/{cluster_id}"))

        return str((await self.calls(get))["pem"])

    async def signed(self, cluster_id: str, request: str) -> str:
        """POST /certificates."""
        body = {"cluster_uuid": cluster_id, "csr": request}

        def post(cloud: Any) -> Any:
            with _of_a_certificate():
                return answer_of(raw(cloud, MAGNUM).post("/certificates", json=body))

        return str((await self.calls(post))["pem"])


def _all(path: str, name: str, cloud: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": _PAGE}
    while True:
        answer = answer_of(raw(cloud, MAGNUM).get(path, params=query))
        found += answer[name]
        if not answer.get("next") or not answer[name]:
            return found
        query["marker"] = answer[name][-1]["uuid"]


def _missed(error: Refused) -> Refused:
    """That the template is gone Magnum tells by 400, too (`magnum.api.validation`)."""
    missing = None if isinstance(error, NotFound) else _MISSING.search(error.detail)
    if missing is None or missing["what"] != "ClusterTemplate":
        return error
    return NotFound(error.detail, reason=Reason.TEMPLATE_NOT_FOUND, code=error.code)


def _not_shown(error: Refused) -> TemporaryError:
    """That Magnum can't show what there is; or that it wasn't Magnum who answered.

    While a cluster begins or ends it has it without its groups of nodes, and answers 400; one whose
    template is gone it can't show at all, and answers 404 for that. A 404 that isn't in Magnum's
    words is a proxy's, or of a wrong endpoint, and says nothing of any cluster.
    """
    if isinstance(error, NotFound) and not _MISSING.search(error.detail):
        return BackendUnavailable(f"No Magnum answers at its endpoint: {error}")
    detail = f"Magnum can't show its clusters now: {error}"
    return TemporaryError(detail, reason=Reason.BACKEND_REFUSED, retry_after=1)


def _check_gone(error: Refused) -> None:
    """Raise `TemporaryError` unless Magnum says that the cluster itself is not there."""
    missing = _MISSING.search(error.detail) if isinstance(error, NotFound) else None
    if missing is None or missing["what"] != "Cluster":
        raise _not_shown(error) from error


@contextmanager
def _of_a_certificate() -> Iterator[None]:
    """That an authority can't be had (lost in Barbican, say) Magnum tells by 500: it has answered.

    Unless that is the API's word for a conductor that is away.
    """
    try:
        yield
    except VENDOR_ERRORS as error:
        fault = fault_of(error)
        if fault.status != 500 or _NO_CONDUCTOR.search(fault.detail):
            raise
        detail = translate(fault).detail
        raise TemporaryError(detail, reason=Reason.BACKEND_REFUSED, status=503) from error


def _cluster(shown: dict[str, Any]) -> Cluster:
    return Cluster(
        id=shown["uuid"],
        name=shown["name"],
        status=shown.get("status") or CREATING,
        reason=shown.get("status_reason") or "",
        template_id=shown.get("cluster_template_id") or "",
        node_count=shown.get("node_count") or 0,
        api_address=shown.get("api_address") or "",
        labels=_texts(shown.get("labels")),
        created_at=shown.get("created_at") or "",
        begun=bool(shown.get("stack_id")),
    )


def _template(shown: dict[str, Any]) -> Template:
    return Template(
        id=shown["uuid"],
        name=shown.get("name") or "",
        labels=_texts(shown.get("labels")),
        coe=shown.get("coe") or "",
        flavor=shown.get("flavor_id") or "",
        created_at=shown.get("created_at") or "",
    )


def _texts(labels: Mapping[str, Any] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (labels or {}).items()}
