"""What a template promises of its clusters, asked of an API server over real TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.k8s_worker.backend import Checked, Unanswered
from services.k8s_worker.checks import checks_of
from services.k8s_worker.kubernetes_api import KubernetesApi
from tests.support.api_server import api_server

ENDPOINTS = "GET /api/v1/namespaces/kube-system/endpoints/kube-dns"
DEPLOYMENT = "GET /apis/apps/v1/namespaces/kube-system/deployments/csi"
DAEMONS = "GET /apis/apps/v1/namespaces/kube-system/daemonsets/ccm"
DNS = "Service kube-system/kube-dns"
CSI = "Deployment kube-system/csi"
CCM = "DaemonSet kube-system/ccm"


def available(status: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": "Available", "status": status}]}}


def ready(count: int, wanted: int) -> dict[str, Any]:
    return {"status": {"numberReady": count, "desiredNumberScheduled": wanted}}


async def checked(folder: Path, target: str, path: str, said: Any) -> str:
    """Return why a check has not passed when the server says that."""
    async with api_server(folder) as server:
        server.answers |= {
            "GET /version": {"gitVersion": "v1.20.2"},
            "GET /api/v1/nodes": {"items": []},
            path: said,
        }
        api = KubernetesApi(server.access)
        try:
            seen = await api.look(checks_of({"colobus_checks": f"it={target}"}))
        finally:
            await api.close()
    (one,) = seen.checks
    assert one == Checked("it", one.words)
    return one.words


@pytest.mark.parametrize(
    ("target", "path", "said", "words"),
    [
        (DNS, ENDPOINTS, {"subsets": [{"addresses": [{"ip": "10.0.0.1"}]}]}, ""),
        (DNS, ENDPOINTS, {"subsets": [{"addresses": None}]}, f"{DNS} has no ready endpoint"),
        (DNS, ENDPOINTS, {"subsets": None}, f"{DNS} has no ready endpoint"),
        (DNS, ENDPOINTS, (404, {}), f"{DNS} is not there"),
        (CSI, DEPLOYMENT, available("True"), ""),
        (CSI, DEPLOYMENT, available("False"), f"{CSI} is not available"),
        (CSI, DEPLOYMENT, {}, f"{CSI} is not available"),
        (CSI, DEPLOYMENT, (404, {}), f"{CSI} is not there"),
        (CCM, DAEMONS, ready(3, 3), ""),
        (CCM, DAEMONS, ready(2, 3), f"{CCM} is ready on 2 of 3 nodes"),
        (CCM, DAEMONS, {"status": {}}, f"{CCM} is ready on 0 of 0 nodes"),
        (CCM, DAEMONS, (404, {}), f"{CCM} is not there"),
    ],
)
async def test_a_check_passes_or_says_why_not(
    tmp_path: Path, target: str, path: str, said: Any, words: str
) -> None:
    """One by one."""
    assert await checked(tmp_path, target, path, said) == words


async def test_a_check_that_can_not_be_asked_is_an_api_server_that_does_not_answer(
    tmp_path: Path,
) -> None:
    """Not one that has failed."""
    with pytest.raises(Unanswered, match="answers 500"):
        await checked(tmp_path, DNS, ENDPOINTS, (500, {}))
