"""Draining an API server that refuses, drips, or makes things anew, over real TLS."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.k8s_worker.backend import Unanswered
from services.k8s_worker.kubernetes_api import KubernetesApi
from services.k8s_worker.kubernetes_drain import QUOTA
from tests.support.api_server import ScriptedServer, api_server

LISTS = ("services", "persistentvolumeclaims", "persistentvolumes", "pods")
REFUSED = (500, {"message": 'failed calling webhook "no endpoints"'})
GONE: dict[str, Any] = {"kind": "Status", "status": "Success"}


def thing(name: str, namespace: str = "shop", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, **more}


def holding(server: ScriptedServer, **held: list[dict[str, Any]]) -> None:
    """Let it have these, and nothing else."""
    for kind in LISTS:
        server.answers[f"GET /api/v1/{kind}"] = {"items": held.get(kind)}


async def drained(server: ScriptedServer, seconds: float = 20) -> list[str]:
    api = KubernetesApi(server.access)
    try:
        return await api.drain(seconds)
    finally:
        await api.close()


def told(server: ScriptedServer, method: str) -> list[str]:
    """The paths that were told something by this method, in order."""
    return [one.split()[1] for one in server.asked if one.startswith(method)]


async def test_a_cluster_with_nothing_outside_is_told_nothing(tmp_path: Path) -> None:
    """The usual case; other Services and pods are its own affair."""
    async with api_server(tmp_path) as server:
        holding(server, services=[thing("web", spec={"type": "ClusterIP"})], pods=[thing("web")])
        assert await drained(server) == []
    assert told(server, "DELETE") == told(server, "POST") == []


async def test_what_is_refused_saves_nothing_else_and_is_named(tmp_path: Path) -> None:
    """An admission webhook without endpoints refuses one Service: the claims go all the same."""
    async with api_server(tmp_path) as server:
        holding(
            server,
            services=[thing("web", spec={"type": "LoadBalancer"})],
            persistentvolumeclaims=[thing("data"), thing("more", "other")],
            persistentvolumes=[
                thing("pv-1", spec={"persistentVolumeReclaimPolicy": "Delete"}),
                thing("pv-2", spec={"persistentVolumeReclaimPolicy": "Retain"}),
            ],
            pods=[
                thing("db-0", spec={"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]}),
                thing("tmp", spec={"volumes": [{"emptyDir": {}}, {"ephemeral": {}}]}),
                thing("web", spec={"volumes": [{"emptyDir": {}}]}),
            ],
        )
        server.answers["DELETE /api/v1/namespaces/shop/services/web"] = REFUSED
        left = await drained(server)
    assert left == [
        "Service shop/web",
        "PersistentVolumeClaim shop/data",
        "PersistentVolumeClaim other/more",
        "PersistentVolume pv-1",
    ]
    assert sorted(told(server, "DELETE")) == [
        "/api/v1/namespaces/other/persistentvolumeclaims/more",
        "/api/v1/namespaces/shop/persistentvolumeclaims/data",
        "/api/v1/namespaces/shop/pods/db-0",
        "/api/v1/namespaces/shop/pods/tmp",
        "/api/v1/namespaces/shop/services/web",
    ]


async def test_first_nothing_new_can_be_made(tmp_path: Path) -> None:
    """A StatefulSet makes its claims anew as soon as they are gone, GitOps its Services."""
    async with api_server(tmp_path) as server:
        holding(
            server,
            services=[thing("web", "front", spec={"type": "LoadBalancer"})],
            persistentvolumeclaims=[thing("data")],
        )
        await drained(server)
    asked = [one for one in server.asked if not one.startswith("GET")]
    quotas = [f"POST /api/v1/namespaces/{one}/resourcequotas" for one in ("front", "shop")]
    assert sorted(asked[:2]) == quotas
    assert all(one.startswith("DELETE") for one in asked[2:])
    body = next(one for one in server.bodies if one is not None)
    assert body["metadata"] == {"name": QUOTA}
    assert body["spec"]["hard"] == {"persistentvolumeclaims": "0", "services.loadbalancers": "0"}


async def test_what_is_going_already_is_not_told_again(tmp_path: Path) -> None:
    """But it is still there."""
    going = thing("data")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    async with api_server(tmp_path) as server:
        holding(server, persistentvolumeclaims=[going])
        assert await drained(server) == ["PersistentVolumeClaim shop/data"]
    assert told(server, "DELETE") == []


async def test_it_keeps_within_its_time_and_the_next_try_goes_on(tmp_path: Path) -> None:
    """However many there are, and however slowly each goes: what there was no time for is named."""

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        return web.json_response(GONE)

    many = [thing(f"data-{number}") for number in range(500)]
    async with api_server(tmp_path) as server:
        holding(server, persistentvolumeclaims=many)
        for one in many:
            name = one["metadata"]["name"]
            path = f"DELETE /api/v1/namespaces/shop/persistentvolumeclaims/{name}"
            server.answers[path] = slow
        begun = time.monotonic()
        left = await drained(server, seconds=1.5)
        assert time.monotonic() - begun < 10
    assert len(left) == 500
    assert 0 < len(told(server, "DELETE")) < 500


@pytest.mark.parametrize("kind", LISTS)
async def test_lists_that_can_not_be_had_are_unanswered(tmp_path: Path, kind: str) -> None:
    """Then it is not known what is there; within its time all the same."""

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    async with api_server(tmp_path) as server:
        holding(server, persistentvolumeclaims=[thing("data")])
        wrong: tuple[Any, ...] = ({"items": [{}]}, (500, {}), drip)
        for said in wrong:
            server.answers[f"GET /api/v1/{kind}"] = said
            with pytest.raises(Unanswered):
                await drained(server, seconds=1)
    assert told(server, "DELETE") == []
