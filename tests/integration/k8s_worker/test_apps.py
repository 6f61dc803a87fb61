"""Apps on API servers that are hostile, old, or refuse, over real TLS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.k8s_worker import app_inventory, kubernetes_app_look
from services.k8s_worker.app_backend import AppLook, AppObjects, ManifestRefused
from services.k8s_worker.backend import Unanswered
from services.k8s_worker.kubernetes_api import KubernetesApi
from shared.contract.manifests import INVENTORY
from shared.contract.messages import AppPart
from tests.support.api_server import ScriptedServer, api_server

APP = "app-01jz0000000000000000000000"
PLACE = f"/api/v1/namespaces/{APP}"
BOOK = f"{PLACE}/configmaps/{INVENTORY}"
SECRET = "nobody-may-read-this"
LABELS = {"colobus.org/installation": "test", "colobus.org/resource": APP}
KNOWN = [
    {"name": "configmaps", "kind": "ConfigMap", "namespaced": True},
    {"name": "secrets", "kind": "Secret", "namespaced": True},
    {"name": "nodes", "kind": "Node", "namespaced": False},
    {"name": "nodes/proxy", "kind": "NodeProxyOptions", "namespaced": False},
]


def thing(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **more}


def uid(of: str) -> dict[str, Any]:
    return {"metadata": {"name": "any", "uid": f"uid-of-{of}"}}


def entry(kind: str, resource: str, name: str, api: str = "v1") -> dict[str, str]:
    return {"api": api, "resource": resource, "kind": kind, "name": name}


def book(*entries: dict[str, str], coming: Sequence[dict[str, str]] = ()) -> dict[str, Any]:
    data = {"objects": json.dumps(entries), "coming": json.dumps(coming)}
    return {"metadata": {"name": INVENTORY}, "data": data}


def named(server: ScriptedServer, key: str = "objects") -> list[set[str]]:
    """What the inventory was made to name, time after time."""
    written = [one["data"][key] for one in server.bodies if one and INVENTORY in str(one)]
    return [{one["name"] for one in json.loads(text)} for text in written]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ScriptedServer]:
    """One that takes everything in the app's namespace."""
    async with api_server(tmp_path) as made:
        made.answers["GET /api/v1"] = {"resources": KNOWN}
        namespace = {"metadata": {"name": APP}}
        for path, answer in ((PLACE, namespace), (BOOK, {})):
            made.answers[f"PATCH {path}"] = answer
        for path in ("secrets/access", "configmaps/a", "configmaps/b"):
            made.answers[f"PATCH {PLACE}/{path}"] = made.answers[f"GET {PLACE}/{path}"] = uid(path)
        yield made


async def applied(
    server: ScriptedServer, *objects: dict[str, Any], keeps: bool = False, anywhere: bool = False
) -> None:
    api = KubernetesApi(server.access)
    try:
        await api.apply_app(AppObjects(APP, LABELS, objects, keeps, anywhere), 20)
    finally:
        await api.close()


async def look(server: ScriptedServer) -> AppLook | None:
    api = KubernetesApi(server.access)
    try:
        return await api.look_at_app(APP, {"colobus.org/resource": APP})
    finally:
        await api.close()


def told(server: ScriptedServer, method: str) -> list[str]:
    """The paths that were told something by this method, in order."""
    return [one.split()[1] for one in server.asked if one.startswith(method)]


async def test_all_is_applied_in_its_namespace_and_the_inventory_frames_it(
    server: ScriptedServer,
) -> None:
    """What others start with comes first; every object is marked, and where it belongs."""
    await applied(server, thing("ConfigMap", "a"), thing("Secret", "access"))
    secret, config = f"{PLACE}/secrets/access", f"{PLACE}/configmaps/a"
    assert told(server, "PATCH") == [PLACE, BOOK, secret, config, BOOK]
    bodies = [one for one in server.bodies if one]
    assert all(LABELS.items() <= one["metadata"]["labels"].items() for one in bodies)
    assert [one["metadata"].get("namespace") for one in bodies] == [None, APP, APP, APP, APP]
    assert named(server) == [set(), {"a", "access"}]
    assert named(server, "coming") == [{"a", "access"}, set()]


async def test_what_a_change_leaves_out_goes_but_secrets_that_it_does_not_name(
    server: ScriptedServer,
) -> None:
    """Until it has gone the inventory names it, too."""
    before = (
        entry("ConfigMap", "configmaps", "a"),
        entry("ConfigMap", "configmaps", "b"),
        entry("Secret", "secrets", "access"),
    )
    server.answers[f"GET {BOOK}"] = book(*before)
    server.answers[f"DELETE {PLACE}/configmaps/b"] = (500, {"message": "no endpoints"})
    with pytest.raises(Unanswered, match="no endpoints"):
        await applied(server, thing("ConfigMap", "a"), keeps=True)
    assert told(server, "DELETE") == [f"{PLACE}/configmaps/b"]
    assert named(server) == [{"a", "b", "access"}]
    server.answers[f"DELETE {PLACE}/configmaps/b"] = {}
    await applied(server, thing("ConfigMap", "a"), keeps=True)
    assert named(server)[-1] == {"a", "access"}
    as_seen = {"uid": "uid-of-configmaps/b"}
    options = [one for one in server.bodies if one and one.get("kind") == "DeleteOptions"]
    assert [one["preconditions"] for one in options] == [as_seen] * 2


async def test_what_is_applied_under_another_version_is_not_removed_under_the_old_one(
    server: ScriptedServer,
) -> None:
    """It is one object; what has no other version left goes."""
    server.answers["GET /apis/networking.k8s.io/v1"] = {
        "resources": [{"name": "ingresses", "kind": "Ingress", "namespaced": True}]
    }
    server.answers[f"GET {BOOK}"] = book(
        entry("Ingress", "ingresses", "web", "extensions/v1beta1"),
        entry("Ingress", "ingresses", "old", "extensions/v1beta1"),
    )
    old, new = (
        f"/apis/{api}/namespaces/{APP}/ingresses"
        for api in ("extensions/v1beta1", "networking.k8s.io/v1")
    )
    server.answers |= {f"PATCH {new}/web": uid("web"), f"GET {old}/web": uid("web")}
    server.answers |= {f"GET {old}/old": uid("old"), f"DELETE {old}/old": {}}
    await applied(server, {**thing("Ingress", "web"), "apiVersion": "networking.k8s.io/v1"})
    assert told(server, "DELETE") == [f"{old}/old"]
    assert named(server)[-1] == {"web"}


async def test_a_change_that_is_refused_changes_nothing(server: ScriptedServer) -> None:
    """The cluster is asked about all of it before anything is applied."""
    server.answers[f"GET {BOOK}"] = book(entry("ConfigMap", "configmaps", "a"))
    server.answers[f"PATCH {PLACE}/configmaps/b"] = (422, {"message": "data: Invalid value"})
    with pytest.raises(ManifestRefused, match="ConfigMap b"):
        await applied(server, thing("ConfigMap", "a"), thing("ConfigMap", "b"))
    assert named(server) == []
    assert "dryRun=All" in server.queries[-1]
    said = {"message": 'admission webhook "x.example.org" does not support dry run'}
    server.answers[f"PATCH {PLACE}/configmaps/b"] = uid("b")
    server.answers[f"PATCH {PLACE}/configmaps/a"] = _dry((400, said), uid("a"))
    await applied(server, thing("ConfigMap", "a"), thing("ConfigMap", "b"))
    assert named(server)[-1] == {"a", "b"}


async def test_what_was_refused_midway_is_not_missed_afterwards(server: ScriptedServer) -> None:
    """The inventory says what is there: what was applied, and not what never was."""
    server.answers[f"GET {BOOK}"] = book(entry("ConfigMap", "configmaps", "a"))
    server.answers[f"PATCH {PLACE}/configmaps/b"] = _dry(uid("b"), (422, {"message": "no"}))
    server.answers[f"PATCH {PLACE}/configmaps/c"] = uid("c")
    with pytest.raises(ManifestRefused, match="ConfigMap b"):
        await applied(
            server, thing("Secret", "access"), thing("ConfigMap", "b"), thing("ConfigMap", "c")
        )
    assert named(server) == [{"a"}, {"a", "access"}]
    assert named(server, "coming") == [{"access", "b", "c"}, set()]


async def test_what_is_still_coming_is_not_missed(server: ScriptedServer) -> None:
    """A look during a change sees what there was before it."""
    coming = [entry("Deployment", "deployments", "web", "apps/v1")]
    server.answers[f"GET {BOOK}"] = book(coming=coming)
    assert await look(server) == AppLook()


@pytest.mark.parametrize(
    "words",
    [
        f'pods "a" is forbidden: error looking up service account {APP}/default: not found',
        f"unable to create new content in namespace {APP} because it is being terminated",
        'configmaps "a" is forbidden: User "colobus" cannot patch resource "configmaps"',
    ],
)
async def test_what_is_forbidden_for_a_moment_is_tried_again(
    server: ScriptedServer, words: str
) -> None:
    """A Pod comes before its namespace's account, for one; anything else forbidden is for good."""
    server.answers[f"PATCH {PLACE}/configmaps/a"] = (403, {"message": words})
    with pytest.raises(Unanswered):
        await applied(server, thing("ConfigMap", "a"))
    said = 'pods "a" is forbidden: exceeded quota'
    server.answers[f"PATCH {PLACE}/configmaps/a"] = (403, {"message": said})
    with pytest.raises(ManifestRefused, match="exceeded quota"):
        await applied(server, thing("ConfigMap", "a"))


def _dry(dry: Any, wet: Any) -> Any:
    """One answer when it is only tried, and another when it is meant."""

    async def answer(request: web.Request) -> web.Response:
        said = dry if "dryRun" in request.query else wet
        status, body = said if isinstance(said, tuple) else (200, said)
        return web.json_response(body, status=status)

    return answer


async def test_changes_that_failed_never_fill_the_inventory(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they left goes first, then."""
    monkeypatch.setattr(app_inventory, "MOST", 2)
    before = [entry("ConfigMap", "configmaps", name) for name in ("a", "b")]
    server.answers[f"GET {BOOK}"] = book(*before)
    server.answers[f"DELETE {PLACE}/configmaps/b"] = {}
    await applied(server, thing("ConfigMap", "a"), thing("Secret", "access"))
    order = [one for one in server.asked if one.startswith(("DELETE", "PATCH"))]
    assert order.index(f"DELETE {PLACE}/configmaps/b") < order.index(f"PATCH {BOOK}")


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (thing("Node", "n"), "Node n: it is of the whole cluster"),
        (thing("Widget", "w"), "Widget w: the cluster knows no Widget in v1"),
        (thing("NodeProxyOptions", "p"), "knows no NodeProxyOptions"),
        ({**thing("A", "a"), "apiVersion": "x.org/v1"}, "A a: the cluster knows no x.org/v1"),
    ],
)
async def test_what_is_not_of_a_namespace_is_refused_before_anything_is_applied(
    server: ScriptedServer, manifest: dict[str, Any], words: str
) -> None:
    """By the cluster's own discovery, and among good ones."""
    with pytest.raises(ManifestRefused, match=words):
        await applied(server, thing("ConfigMap", "a"), manifest)
    assert told(server, "PATCH") == []


async def test_a_refusal_is_told_but_what_it_quotes_of_a_secret_is_not(
    server: ScriptedServer,
) -> None:
    """A 4xx is for good, others are for now; of a Secret there is the status alone."""
    said = {"message": f'illegal base64 data: "{SECRET}"'}
    path = f"PATCH {PLACE}/secrets/access"
    for status, wanted in ((422, ManifestRefused), (400, ManifestRefused), (500, Unanswered)):
        server.answers[path] = (status, said)
        with pytest.raises(wanted) as refused:
            await applied(server, thing("Secret", "access", data={"a": "b"}))
        assert str(status) in str(refused.value)
        assert SECRET not in str(refused.value)
    server.answers[f"PATCH {PLACE}/configmaps/a"] = (422, {"message": "data: Invalid value"})
    with pytest.raises(ManifestRefused, match=r"ConfigMap a: .*422: data: Invalid value"):
        await applied(server, thing("ConfigMap", "a"))


async def test_an_object_that_does_not_fit_its_kind_is_refused_for_good(
    server: ScriptedServer,
) -> None:
    """Kubernetes 1.20 answers 500, for ever."""
    said = {"message": "failed to create typed patch object: .data: expected map, got &{1}"}
    server.answers[f"PATCH {PLACE}/configmaps/a"] = (500, said)
    with pytest.raises(ManifestRefused, match=r"ConfigMap a: .*expected map"):
        await applied(server, thing("ConfigMap", "a", data=1))


async def test_a_namespace_that_is_going_is_waited_for(server: ScriptedServer) -> None:
    """Nothing could be made in it."""
    going = {"metadata": {"name": APP, "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    server.answers[f"PATCH {PLACE}"] = going
    with pytest.raises(Unanswered, match="still being removed"):
        await applied(server, thing("ConfigMap", "a"))


@pytest.mark.parametrize(
    "entries",
    [
        [entry("ConfigMap", "../../kube-system/configmaps", "a")],
        [entry("ConfigMap", "configmaps", "../../../namespaces/kube-system")],
        [entry("ConfigMap", "configmaps", "a", "v1/namespaces/kube-system")],
        [entry("ConfigMap", "configmaps", f"a{number}") for number in range(501)],
        ["text"],
    ],
)
async def test_an_inventory_that_somebody_has_written_leads_nowhere_else(
    server: ScriptedServer, entries: list[Any]
) -> None:
    """It is no inventory, then; nothing is deleted by it, and a change writes it anew."""
    server.answers[f"GET {BOOK}"] = book(*entries)
    with pytest.raises(Unanswered, match="can't be read"):
        await look(server)
    await applied(server, thing("ConfigMap", "a"))
    assert named(server)[-1] == {"a"}
    assert told(server, "DELETE") == []


def made_by(deployment: str, hashed: str) -> dict[str, Any]:
    """A pod's metadata."""
    replica_set = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": f"{deployment}-{hashed}",
        "uid": "u-1",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": f"{deployment}-{hashed}-x",
        "labels": {"app": "a", "pod-template-hash": hashed},
        "ownerReferences": [replica_set],
    }


async def test_what_it_is_made_of_is_looked_at_and_missed(server: ScriptedServer) -> None:
    """Pods only where something is not ready; a Deployment that somebody removed is a part, too."""
    apps = "apps/v1"
    server.answers[f"GET {BOOK}"] = book(
        entry("Deployment", "deployments", "web", apps),
        entry("Deployment", "deployments", "lost", apps),
        entry("Secret", "secrets", "access"),
        entry("Ingress", "ingresses", "web", "networking.k8s.io/v1"),
    )
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}
    web = {"metadata": {"name": "web", "generation": 1}, "spec": {"replicas": 1}}
    found = {"items": [{**web, "status": status}]}
    server.answers[f"GET /apis/apps/v1/namespaces/{APP}/deployments"] = found
    balancer = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    ingress = {"items": [{"metadata": {"name": "web"}, "status": balancer}]}
    server.answers[f"GET /apis/networking.k8s.io/v1/namespaces/{APP}/ingresses"] = ingress
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}}
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    pods = [
        {"metadata": made_by("web", "h1"), "status": {"containerStatuses": [waiting]}},
        {"metadata": made_by("web-api", "h2"), "status": {"conditions": [unscheduled]}},
    ]
    server.answers[f"GET {PLACE}/pods"] = {"items": pods}
    seen = await look(server)
    assert seen is not None
    shown = {(one.kind, one.name): (one.done, one.reason) for one in seen.parts}
    assert shown == {
        ("Deployment", "lost"): (False, "app_not_ready"),
        ("Deployment", "web"): (False, "image_pull_failed"),
        ("Ingress", "web"): (True, None),
    }


async def test_a_service_with_a_load_balancer_is_waited_for_and_others_are_only_missed(
    server: ScriptedServer,
) -> None:
    """Its address is the app's, as an Ingress' is; a Service of another group is none."""
    server.answers[f"GET {BOOK}"] = book(
        entry("Service", "services", "front"),
        entry("Service", "services", "inner"),
        entry("Service", "services", "lost"),
        entry("Service", "services", "serverless", "serving.knative.dev/v1"),
    )
    front = {"metadata": {"name": "front"}, "spec": {"type": "LoadBalancer"}}
    inner = {"metadata": {"name": "inner"}, "spec": {"type": "ClusterIP"}}

    async def parts(status: dict[str, Any]) -> dict[str, AppPart]:
        items = [{**front, "status": {"loadBalancer": status}}, inner]
        server.answers[f"GET {PLACE}/services"] = {"items": items}
        seen = await look(server)
        assert seen is not None
        return {one.name: one for one in seen.parts}

    building = await parts({})
    assert building.keys() == {"front", "lost"}
    assert (building["front"].done, building["front"].words) == (
        False,
        "Service front has no address yet.",
    )
    assert building["lost"].words == "Service lost is not there any more."
    built = (await parts({"ingress": [{"ip": "203.0.113.9"}]}))["front"]
    assert (built.done, built.addresses) == (True, ("203.0.113.9",))


async def test_gone_going_and_robbed_are_three_things(server: ScriptedServer) -> None:
    """Without an inventory the namespace decides."""
    assert await look(server) is None
    condition = {"type": "NamespaceContentRemaining", "status": "True", "message": "2 ingresses"}
    going = {"name": APP, "deletionTimestamp": "2026-01-01T00:00:00Z"}
    server.answers[f"GET {PLACE}"] = {"metadata": going, "status": {"conditions": [condition]}}
    seen = await look(server)
    assert seen is not None
    assert seen.going == f"The namespace {APP} is being removed. 2 ingresses"
    server.answers[f"GET {PLACE}"] = {"metadata": {"name": APP}}
    robbed = await look(server)
    assert robbed is not None
    assert [(one.kind, one.done) for one in robbed.parts] == [("ConfigMap", False)]


async def test_who_drips_ends_a_look_within_its_bound(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what can't be digested ends it at once."""
    monkeypatch.setattr(kubernetes_app_look, "LOOK_SECONDS", 0.5)

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    server.answers[f"GET {BOOK}"] = drip
    with pytest.raises(Unanswered, match="in time"):
        await look(server)
    nonsenses: tuple[Any, ...] = (b"[", b"<html>", [], {"data": []}, (302, {}), (401, {}))
    for nonsense in nonsenses:
        server.answers[f"GET {BOOK}"] = nonsense
        with pytest.raises(Unanswered):
            await look(server)


async def test_apps_are_those_namespaces_that_are_named_as_ours(server: ScriptedServer) -> None:
    """Whoever puts our labels on others holds up nothing by it."""
    own, other = {"colobus.org/resource": APP}, {"colobus.org/resource": "app-x"}
    server.answers["GET /api/v1/namespaces"] = {
        "items": [
            {"metadata": {"name": APP, "labels": own}},
            {"metadata": {"name": "app-x", "labels": other}},
            {"metadata": {"name": APP.replace("0", "1"), "labels": own}},
            {"metadata": {"name": "default"}},
        ]
    }
    api = KubernetesApi(server.access)
    assert await api.apps({"colobus.org/installation": "test"}) == {APP: False}
    namespace = {"name": APP, "labels": own, "deletionTimestamp": "2026-01-01T00:00:00Z"}
    server.answers["GET /api/v1/namespaces"] = {"items": [{"metadata": namespace}]}
    assert await api.apps({"colobus.org/installation": "test"}) == {APP: True}
    server.answers[f"DELETE {PLACE}"] = {}
    assert await api.remove_app(APP)
    server.answers[f"DELETE {PLACE}"] = (409, {"message": "being removed"})
    assert await api.remove_app(APP)
    del server.answers[f"DELETE {PLACE}"]
    assert not await api.remove_app(APP)
    await api.close()


ROLE = {**thing("ClusterRole", "reader"), "apiVersion": "rbac.authorization.k8s.io/v1"}
ELSEWHERE = {**thing("ConfigMap", "a"), "metadata": {"name": "a", "namespace": "shop"}}
ROLE_AT = "/apis/rbac.authorization.k8s.io/v1/clusterroles/reader"
SHOP_AT = "/api/v1/namespaces/shop/configmaps/a"
OUTSIDE = (
    {**entry("ClusterRole", "clusterroles", "reader", ROLE["apiVersion"]), "place": "*"},
    {**entry("ConfigMap", "configmaps", "a"), "place": "shop"},
)


@pytest.fixture
def wide(server: ScriptedServer) -> ScriptedServer:
    """It also takes a role of the whole cluster, and something in another namespace."""
    server.answers["GET /apis/rbac.authorization.k8s.io/v1"] = {
        "resources": [{"name": "clusterroles", "kind": "ClusterRole", "namespaced": False}]
    }
    for path in (ROLE_AT, SHOP_AT):
        server.answers |= {f"PATCH {path}": uid(path), f"DELETE {path}": {}}
    return server


def of_app(path: str, app: str = APP) -> dict[str, Any]:
    return {"metadata": {**uid(path)["metadata"], "labels": {"colobus.org/resource": app}}}


async def test_an_app_that_may_be_anywhere_is_where_it_says(wide: ScriptedServer) -> None:
    """The inventory names the places; without the operator's word all of it is refused."""
    for one in (ROLE, ELSEWHERE):
        with pytest.raises(ManifestRefused, match="an app has what is in its namespace"):
            await applied(wide, one)
    assert told(wide, "PATCH") == []
    await applied(wide, ELSEWHERE, ROLE, anywhere=True)
    assert told(wide, "PATCH") == [PLACE, BOOK, ROLE_AT, SHOP_AT, BOOK]
    bodies = {one["kind"]: one["metadata"] for one in wide.bodies if one}
    assert "namespace" not in bodies["ClusterRole"]
    role = bodies["ClusterRole"]
    assert LABELS.items() <= role["labels"].items()
    book_of = [one for one in wide.bodies if one and INVENTORY in str(one)][-1]
    assert {one["place"] for one in json.loads(book_of["data"]["objects"])} == {"*", "shop"}


async def test_a_namespace_may_come_with_what_is_in_it(wide: ScriptedServer) -> None:
    """Which can't be tried beforehand."""
    wide.answers[f"GET {BOOK}"] = book(entry("ConfigMap", "configmaps", "a"))
    none = (404, {"message": 'namespaces "shop" not found'})
    wide.answers[f"PATCH {SHOP_AT}"] = _dry(none, uid("shop"))
    await applied(wide, ELSEWHERE, anywhere=True)
    wide.answers[f"PATCH {SHOP_AT}"] = none
    with pytest.raises(ManifestRefused, match='namespaces "shop" not found'):
        await applied(wide, ELSEWHERE, anywhere=True)


async def test_what_is_somebody_elses_is_neither_written_over_nor_removed(
    wide: ScriptedServer,
) -> None:
    """Whatever an inventory says; outside of its namespace an app owns what bears its label."""
    wide.answers[f"GET {ROLE_AT}"] = of_app(ROLE_AT, "app-of-another")
    with pytest.raises(ManifestRefused, match="ClusterRole reader: there is one already"):
        await applied(wide, ROLE, anywhere=True)
    assert told(wide, "PATCH") == []
    wide.answers[f"GET {BOOK}"] = book(*OUTSIDE)
    wide.answers[f"GET {SHOP_AT}"] = uid(SHOP_AT)
    await applied(wide, thing("ConfigMap", "a"), anywhere=True)
    wide.answers[f"DELETE {PLACE}"] = {}
    api = KubernetesApi(wide.access)
    assert await api.remove_app(APP)
    await api.close()
    assert told(wide, "DELETE") == [PLACE]


async def test_what_an_app_has_elsewhere_goes_before_its_namespace(wide: ScriptedServer) -> None:
    """Which alone knows what that is."""
    wide.answers[f"GET {BOOK}"] = book(*OUTSIDE)
    wide.answers |= {f"GET {path}": of_app(path) for path in (ROLE_AT, SHOP_AT)}
    wide.answers[f"DELETE {PLACE}"] = {}
    wide.answers[f"DELETE {SHOP_AT}"] = (500, {"message": "no endpoints"})
    api = KubernetesApi(wide.access)
    with pytest.raises(Unanswered, match="no endpoints"):
        await api.remove_app(APP)
    assert PLACE not in told(wide, "DELETE")
    wide.answers[f"DELETE {SHOP_AT}"] = {}
    assert await api.remove_app(APP)
    await api.close()
    assert told(wide, "DELETE")[-3:] == [ROLE_AT, SHOP_AT, PLACE]
