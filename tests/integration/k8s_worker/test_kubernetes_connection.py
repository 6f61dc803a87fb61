"""API servers of all sorts over real TLS, hostile ones too: each is one cluster's trouble only."""

from __future__ import annotations

import asyncio
import gzip
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.k8s_worker import kubernetes_connection
from services.k8s_worker.backend import Look, Node, Unanswered
from services.k8s_worker.kubernetes_api import KubernetesApi
from services.k8s_worker.kubernetes_connection import APPLY, MOST_BYTES, KubernetesConnection
from services.k8s_worker.kubernetes_objects import Anything
from tests.support.api_server import ScriptedServer, access_to, api_server
from tests.support.conditions import eventually
from tests.support.tls import Authority

VERSION = {"gitVersion": "v1.20.2", "major": "1"}
READY = {"type": "Ready", "status": "True"}


def node(name: str, **status: Any) -> dict[str, Any]:
    shown = {"conditions": [READY], "addresses": [{"type": "InternalIP", "address": "10.0.0.5"}]}
    return {"metadata": {"name": name}, "status": {**shown, **status}}


def nodes(*shown: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "NodeList", "metadata": more, "items": list(shown)}


async def look(server: ScriptedServer) -> Look:
    api = KubernetesApi(server.access)
    try:
        return await api.look()
    finally:
        await api.close()


async def drip(request: web.Request) -> web.StreamResponse:
    """One byte now and then, for ever: no pause is long enough to be a time-out."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)


async def pour(request: web.Request) -> web.StreamResponse:
    """More than anybody wants, as fast as it is taken."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65536)
        await asyncio.sleep(0)  # once the other side has closed, writing waits for nothing


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of time that a test can wait for."""
    monkeypatch.setattr("services.k8s_worker.kubernetes_api.LOOK_SECONDS", 0.5)


async def test_a_good_one_is_looked_at(tmp_path: Path) -> None:
    """Workers by name, without the control plane; why one is not ready is told."""
    bad = {"conditions": [{"type": "Ready", "status": "False", "message": "no network"}]}
    master = node("m-0")
    master["metadata"]["labels"] = {"node-role.kubernetes.io/master": ""}
    async with api_server(tmp_path) as server:
        server.answers["GET /version"] = VERSION
        server.answers["GET /api/v1/nodes"] = nodes(node("w-1"), master, node("w-0", **bad))
        seen = await look(server)
    assert seen == Look(
        "v1.20.2", (Node("w-0", False, "10.0.0.5", "no network"), Node("w-1", True, "10.0.0.5"))
    )


async def test_a_list_is_read_page_by_page(tmp_path: Path) -> None:
    """As the server says where the next one begins."""

    async def paged(request: web.Request) -> web.Response:
        assert request.query["limit"] == str(kubernetes_connection.PAGE)
        at = request.query.get("continue", "0")
        more = {"continue": "1"} if at == "0" else {}
        return web.json_response(nodes(node(f"w-{at}"), **more))

    async with api_server(tmp_path) as server:
        server.answers |= {"GET /version": VERSION, "GET /api/v1/nodes": paged}
        seen = await look(server)
    assert [one.name for one in seen.nodes] == ["w-0", "w-1"]


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("path", ["/version", "/api/v1/nodes"])
async def test_one_that_drips_is_given_up(tmp_path: Path, path: str) -> None:
    """A byte at a time would be for ever: what bounds a pause bounds nothing."""
    async with api_server(tmp_path) as server:
        server.answers |= {"GET /version": VERSION, f"GET {path}": drip}
        begun = time.monotonic()
        with pytest.raises(Unanswered, match="does not answer in time") as given_up:
            await look(server)
    assert time.monotonic() - begun < 10
    assert not given_up.value.refused


async def test_one_that_pours_is_cut_off(tmp_path: Path) -> None:
    """Before it fills the memory, or takes all the time that a look has."""
    async with api_server(tmp_path) as server:
        server.answers |= {"GET /version": pour}
        with pytest.raises(Unanswered, match="can't be read"):
            await look(server)


async def test_an_endless_list_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page says that there is another."""
    monkeypatch.setattr(kubernetes_connection, "MOST_PAGES", 3)
    async with api_server(tmp_path) as server:
        server.answers["GET /version"] = VERSION
        server.answers["GET /api/v1/nodes"] = nodes(node("w-0"), **{"continue": "again"})
        assert len((await look(server)).nodes) == 3
        server.answers["GET /api/v1/nodes"] = nodes(node("w-0"), **{"continue": "x" * 100_000})
        assert len((await look(server)).nodes) == 1
    assert server.asked.count("GET /api/v1/nodes") == 4


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        None,
        b"<html>",
        b"\xff\xfe",
        b"",
        b"[" * 200_000,
        {"gitVersion": None},
        {"gitVersion": 7},
        {"gitVersion": "v" * 1000},
        (202, {"gitVersion": ["v1.20"]}),
    ],
)
async def test_what_is_no_version_is_unanswered(tmp_path: Path, said: Any) -> None:
    """Not an error of ours, which would be everybody's."""
    async with api_server(tmp_path) as server:
        server.answers |= {"GET /version": said}
        with pytest.raises(Unanswered, match="can't be read"):
            await look(server)


@pytest.mark.parametrize(
    "said",
    [
        {"items": [None]},
        {"items": [{}]},
        {"items": [{"metadata": None}]},
        {"items": [{"metadata": {"name": "../../x"}}]},
        {"items": [{"metadata": {"name": "w" * 300}}]},
        {"items": [{"metadata": {"name": "w", "labels": 5}}]},
        {"items": [{"metadata": {"name": "w"}, "status": {"conditions": [{"type": "Ready"}]}}]},
        {"items": 7},
    ],
)
async def test_what_is_no_list_of_nodes_is_unanswered(tmp_path: Path, said: Any) -> None:
    """Whatever the field."""
    async with api_server(tmp_path) as server:
        server.answers |= {"GET /version": VERSION, "GET /api/v1/nodes": said}
        with pytest.raises(Unanswered, match="can't be read"):
            await look(server)


async def test_nodes_that_have_said_nothing_are_not_ready(tmp_path: Path) -> None:
    """``status`` is null, or has nothing in it; no list at all is an empty one."""
    bare = [{"metadata": {"name": "a"}, "status": None}, {"metadata": {"name": "b"}, "status": {}}]
    async with api_server(tmp_path) as server:
        server.answers |= {"GET /version": VERSION, "GET /api/v1/nodes": {"items": bare}}
        assert [one.ready for one in (await look(server)).nodes] == [False, False]
        server.answers["GET /api/v1/nodes"] = {"items": None}
        assert (await look(server)).nodes == ()


async def test_something_packed_is_not_unpacked(tmp_path: Path) -> None:
    """A hundred bytes that become a hundred megabytes."""

    async def packed(_: web.Request) -> web.Response:
        body = gzip.compress(b" " * 10 * MOST_BYTES)
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    async with api_server(tmp_path) as server:
        server.answers |= {"GET /version": packed}
        with pytest.raises(Unanswered, match="can't be read"):
            await look(server)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("method", ["get", "delete"])
async def test_a_redirect_is_not_followed(tmp_path: Path, status: int, method: str) -> None:
    """Else the worker would fetch, or delete, what its owner can't reach."""

    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/inside"})

    async with api_server(tmp_path) as server:
        server.answers |= {f"{method.upper()} /version": elsewhere, "GET /inside": VERSION}
        connection = KubernetesConnection(server.access)
        answer = await getattr(connection, method)("/version", dict)
        with pytest.raises(Unanswered, match=f"elsewhere \\({status}\\)"):
            answer.value()
        await connection.close()
    assert server.asked == [f"{method.upper()} /version"]
    assert not answer.good


async def test_no_proxy_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the surroundings say."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    async with api_server(tmp_path) as server:
        server.answers |= {"GET /version": VERSION, "GET /api/v1/nodes": nodes()}
        assert (await look(server)).version == "v1.20.2"


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "ftp://x", "nothing", "https://[", ""])
async def test_only_https_is_asked(tmp_path: Path, address: str) -> None:
    """What Magnum has in its place is no address of an API server."""
    access = access_to(Authority.make(tmp_path), address)
    with pytest.raises(Unanswered, match="address"):
        await KubernetesApi(access).look()


@pytest.mark.parametrize("broken", [{"authority": "x"}, {"certificate": "x"}, {"key": "x"}])
async def test_an_access_that_is_none_is_unanswered(tmp_path: Path, broken: Any) -> None:
    """What Magnum gives is not to be trusted either."""
    access = access_to(Authority.make(tmp_path), "https://127.0.0.1:1")
    with pytest.raises(Unanswered, match="certificates") as unreadable:
        await KubernetesApi(replace(access, **broken)).look()
    assert unreadable.value.refused


async def test_another_authoritys_server_is_not_spoken_to(tmp_path: Path) -> None:
    """Nor one that does not take our certificate."""
    other = Authority.make(tmp_path / "other")
    async with api_server(tmp_path) as server:
        server.answers |= {"GET /version": VERSION, "GET /api/v1/nodes": nodes()}
        server.access = replace(server.access, authority=other.file.read_text())
        with pytest.raises(Unanswered, match="shows no certificate") as stranger:
            await look(server)
        server.access = access_to(other, server.access.address)
        assert stranger.value.refused
        assert server.asked == []
    with pytest.raises(Unanswered, match="can't be reached"):
        await look(server)


@pytest.mark.parametrize(("status", "refused"), [(401, True), (403, True), (500, False)])
async def test_a_refusal_is_told_in_the_servers_words_shortened(
    tmp_path: Path, status: int, refused: bool
) -> None:
    """Whether it is our certificate decides whether another is made."""
    async with api_server(tmp_path) as server:
        server.answers |= {"GET /version": (status, {"message": "no" * 1000})}
        with pytest.raises(Unanswered, match=str(status)) as told:
            await look(server)
    assert told.value.refused is refused
    assert len(str(told.value)) < 400


async def test_what_is_sent_is_what_kubernetes_takes(tmp_path: Path) -> None:
    """JSON, and a server-side apply under a field manager's name."""
    sent: list[tuple[str, str]] = []

    async def taken(request: web.Request) -> web.Response:
        sent.append((request.content_type, request.query_string))
        return web.json_response({"metadata": {"name": "a"}})

    async with api_server(tmp_path) as server:
        path = "/api/v1/namespaces/x/services/a"
        server.answers |= {f"{method} {path}": taken for method in ("POST", "PATCH")}
        connection = KubernetesConnection(server.access)
        made = await connection.post(path, {"kind": "Service"}, Anything)
        applied = await connection.patch(path, {"a": 1}, Anything, fieldManager="us", force="true")
        gone = await connection.delete(path, dict)
        await connection.close()
    assert made.value().metadata.name == applied.value().metadata.name == "a"
    assert (gone.status, gone.good) == (404, False)
    assert sent == [("application/json", ""), (APPLY, "fieldManager=us&force=true")]
    assert server.bodies == [{"kind": "Service"}, {"a": 1}, None]


async def test_a_call_under_way_ends_when_the_connection_is_closed(tmp_path: Path) -> None:
    """As unanswered: others may be waiting for the same."""
    async with api_server(tmp_path) as server:
        server.answers |= {"GET /version": drip}
        connection = KubernetesConnection(server.access)
        call = asyncio.create_task(connection.get("/version", dict))
        await eventually(server.was_asked)
        await connection.close()
        with pytest.raises(Unanswered):
            await call
        with pytest.raises(Unanswered, match="broke off"):
            await connection.get("/version", dict)


async def test_several_calls_are_bounded_together(tmp_path: Path) -> None:
    """However many there are."""
    async with api_server(tmp_path) as server:
        server.answers |= {"GET /version": VERSION}
        connection = KubernetesConnection(server.access)

        async def for_ever() -> None:
            async with connection.within(0.2):
                while True:
                    await connection.get("/version", dict)

        with pytest.raises(Unanswered, match="in time"):
            await for_ever()
        await connection.close()
