"""Apps before the provisioner and the observer: what is applied, found, and said of silence."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from services.k8s_worker import app_rounds, looking
from services.k8s_worker.app_backend import AppLook, ManifestRefused
from services.k8s_worker.app_crowd import AT_ONCE
from services.k8s_worker.app_observer import inspect_apps
from services.k8s_worker.app_provisioner import AppKit, apply_app, find, remove_app
from services.k8s_worker.backend import Access
from services.k8s_worker.context import backend_of
from services.k8s_worker.kit import Kit
from services.k8s_worker.lookout import Lookout
from services.k8s_worker.short_form import objects
from shared.contract.codec import envelope_for
from shared.contract.messages import (
    AppInspection,
    AppInspectionFailed,
    AppObserved,
    AppPart,
    ChangeApp,
    DeprovisionApp,
    InspectApps,
    Message,
    ProvisionApp,
)
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable, PermanentError, TemporaryError
from shared.runtime.secrets import SealingKey, UnreadableSecret, seal
from shared.runtime.tenants import Tenant, Tenants
from shared.worker.command import Command
from shared.worker.errors import NotFound
from shared.worker.marks import Marks
from tests.support.conditions import eventually
from tests.unit.k8s_worker.magnum import END, Magnum, Server

APP, CLUSTER = "app-01jz0000000000000000000000", "cluster-01jz0000000000000000000000"
KIT = Kit(Marks("test", "k8s_worker"), ())
KEY = SealingKey.generate()
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "access"}}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
READY = AppLook((AppPart(kind="Deployment", name="web", done=True, available=True),))


class House:
    """Clusters whose API servers the test has in its hands."""

    def __init__(self, *names: str, **shown: Any) -> None:
        self.magnum = Magnum()
        for name in names or (CLUSTER,):
            told = {"api_address": f"https://{name}:6443", **shown}
            self.magnum.add(name, KIT.labels(name), **told)
        self.servers = {name: Server(_access(name)) for name in names or (CLUSTER,)}
        self.kit = AppKit(KIT, Lookout(self._connect), KEY, Tenants({}))

    def _connect(self, access: Access) -> Server:
        return self.servers[access.address.removeprefix("https://").removesuffix(":6443")]

    @property
    def server(self) -> Server:
        """The only one."""
        return self.servers[CLUSTER]

    async def inspect(self, **asked: str) -> dict[str, Message]:
        apps = tuple(
            AppInspection(resource_id=app, tenant="bigtop", cluster=cluster)
            for app, cluster in asked.items()
        )
        found = await inspect_apps(
            self.magnum, self.kit, command(InspectApps(cloud="devcloud", apps=apps))
        )
        return {one.resource_id: one.message for one in found}


def _access(name: str) -> Access:
    return Access(f"https://{name}:6443", "", "", "", END)


def command(message: Message) -> Command[Any]:
    envelope = envelope_for(message, source="/test", subject=APP, tenant="bigtop")
    return Command(message, envelope, False, Deadline.after(30))


def sealed(*objects: object) -> str:
    return seal(KEY.public_key, msgspec.json.encode(objects))


def asked(**what: Any) -> ProvisionApp:
    return ProvisionApp(cloud="devcloud", cluster=CLUSTER, **what)


async def test_manifests_and_opened_secrets_are_applied_in_a_namespace_of_the_apps_name() -> None:
    """With labels that say whose it is."""
    house = House()
    message = asked(manifests=(CONFIG,), sealed_secret_manifests=sealed(SECRET))
    assert await apply_app(house.magnum, house.kit, command(message)) == APP
    (applied,) = house.server.applied
    assert (applied.namespace, applied.objects) == (APP, (CONFIG, SECRET))
    assert applied.labels["colobus.org/resource"] == APP
    assert not applied.keeps_secrets
    assert "Secret" not in repr(applied)


@pytest.mark.parametrize(
    ("box", "keeps"), [(None, True), (sealed(), False)], ids=["none named", "none at all named"]
)
async def test_a_change_keeps_secrets_unless_it_names_some(box: str | None, keeps: bool) -> None:
    """None at all may be named, too."""
    house = House()
    change = ChangeApp(
        cloud="devcloud",
        cluster=CLUSTER,
        operation_id="op-1",
        manifests=(),
        sealed_secret_manifests=box,
    )
    await apply_app(house.magnum, house.kit, command(change))
    assert house.server.applied[0].keeps_secrets is keeps


@pytest.mark.parametrize(
    "box",
    [seal(KEY.public_key, b'{"kind": "Secret"}'), "bm9uc2Vuc2U="],
    ids=["no list", "no box"],
)
async def test_a_box_that_holds_no_secrets_is_refused_for_good(box: str) -> None:
    """Before the cluster is asked anything."""
    house = House()
    with pytest.raises(UnreadableSecret):
        await apply_app(
            house.magnum, house.kit, command(asked(manifests=(), sealed_secret_manifests=box))
        )
    assert house.server.applied == []


@pytest.mark.parametrize(
    "inside",
    [
        {**SECRET, "metadata": {"name": "access", "namespace": "kube-system"}},
        {**SECRET, "data": {"a": "nobody-may-read-this"}},
        {"kind": "Secret"},
        CONFIG,
    ],
)
async def test_what_was_sealed_is_looked_at_when_it_is_opened(inside: dict[str, Any]) -> None:
    """Who publishes on the bus seals it, and the front door never saw it; it is not quoted."""
    house = House()
    message = asked(manifests=(), sealed_secret_manifests=sealed(inside))
    with pytest.raises(ManifestRefused, match="/secret_manifests/0") as refused:
        await apply_app(house.magnum, house.kit, command(message))
    assert "nobody-may-read-this" not in str(refused.value)
    assert house.server.applied == []


def test_the_short_form_is_a_deployment_and_with_a_port_what_leads_to_it() -> None:
    """All of it chosen by the same label; an Ingress without a host is for all."""
    (alone,) = objects("nginx", 2, None, None)
    assert (alone["kind"], alone["spec"]["replicas"]) == ("Deployment", 2)
    deployment, service, ingress = objects("nginx", 1, 8080, "web.example.org")
    template = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert template["spec"]["containers"][0]["ports"][0]["containerPort"] == 8080
    assert ingress["metadata"]["annotations"]["kubernetes.io/ingress.class"] == "openstack"
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == "web.example.org"
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert (backend["name"], backend["port"]) == (service["metadata"]["name"], {"number": 8080})
    assert "host" not in objects("nginx", 1, 80, None)[2]["spec"]["rules"][0]


async def test_only_where_the_operator_says_so_an_app_may_be_anywhere() -> None:
    """In Secrets, too, which nobody has looked at before."""
    inside = {**SECRET, "metadata": {"name": "access", "namespace": "kube-system"}}
    message = asked(manifests=(), sealed_secret_manifests=sealed(inside))
    house = House()
    tenant = Tenant(name="bigtop", projects={"devcloud": "p"}, apps_anywhere=True)
    kit = replace(house.kit, tenants=Tenants({"bigtop": tenant}))
    await apply_app(house.magnum, kit, command(message))
    (applied,) = house.server.applied
    assert applied.anywhere
    assert applied.objects == (inside,)
    await apply_app(house.magnum, house.kit, command(asked(image="nginx")))
    assert not house.server.applied[1].anywhere


async def test_a_cluster_that_is_not_there_or_not_ready_says_so() -> None:
    """Gone is for good; the rest is for now."""
    nothing = House()
    nothing.magnum.kept.clear()
    going = House(status="DELETE_IN_PROGRESS")
    for house in (nothing, going):
        with pytest.raises(PermanentError) as lost:
            await apply_app(house.magnum, house.kit, command(asked(image="nginx")))
        assert lost.value.reason == Reason.REFERENCE_NOT_FOUND
    silent = House()
    silent.server.refuses = True
    for house in (House(status="CREATE_IN_PROGRESS"), House(api_address=""), silent):
        with pytest.raises(TemporaryError) as waits:
            await apply_app(house.magnum, house.kit, command(asked(image="nginx")))
        assert waits.value.reason == Reason.CLUSTER_NOT_READY


async def test_one_cluster_that_hangs_takes_few_of_the_places_that_others_share() -> None:
    """What finds no room gives its place back at once; ends have room of their own."""
    house = House()
    hangs = house.server.applying = asyncio.Event()
    one = command(asked(image="nginx"))
    waiting = [asyncio.create_task(apply_app(house.magnum, house.kit, one)) for _ in range(AT_ONCE)]
    await eventually(_begun(house, AT_ONCE))
    with pytest.raises(TemporaryError, match="busy"):
        await apply_app(house.magnum, house.kit, one)
    order = command(DeprovisionApp(cloud="devcloud", cluster=CLUSTER))
    assert await remove_app(house.magnum, house.kit, order) == (False, None)
    hangs.set()
    await asyncio.gather(*waiting)
    await apply_app(house.magnum, house.kit, one)


def _begun(house: House, count: int) -> Any:
    async def begun() -> bool:
        return len(house.server.applied) == count

    return begun


async def test_nothing_is_applied_after_its_time() -> None:
    """Finding and opening the cluster may have taken all of it."""
    house = House()
    late = replace(command(asked(image="nginx")), deadline=Deadline.after(0.0))
    with pytest.raises(TemporaryError):
        await apply_app(house.magnum, house.kit, late)
    assert house.server.applied == []


async def test_its_end_is_ordered_or_known_or_could_not_be_ordered() -> None:
    """Silence is no failure: the observations say when it is enough."""
    order = command(DeprovisionApp(cloud="devcloud", cluster=CLUSTER))
    house = House()
    assert await remove_app(house.magnum, house.kit, order) == (False, None)
    house.server.app_looks[APP] = READY
    assert await remove_app(house.magnum, house.kit, order) == (True, None)
    house.server.refuses = True
    assert await remove_app(house.magnum, house.kit, order) == (True, "It can't be reached.")
    house.magnum.kept.clear()
    assert await remove_app(house.magnum, house.kit, order) == (False, None)


async def test_an_app_on_a_cluster_without_a_certificate_ends_as_on_a_silent_one() -> None:
    """Magnum has lost the cluster's authority: that is said, and no failure of a look's."""
    house = House()
    house.server.app_looks[APP] = READY
    house.magnum.unsigned = NotFound("X509KeyPair 7 could not be found.")
    words = "Magnum gives no certificate for its API server: X509KeyPair 7 could not be found."
    order = command(DeprovisionApp(cloud="devcloud", cluster=CLUSTER))
    assert await remove_app(house.magnum, house.kit, order) == (True, words)
    seen = (await house.inspect(**{APP: CLUSTER}))[APP]
    assert isinstance(seen, AppObserved)
    assert seen.unanswered == words
    with pytest.raises(TemporaryError, match=words) as waits:
        await apply_app(house.magnum, house.kit, command(asked(image="nginx")))
    assert waits.value.reason == Reason.CLUSTER_NOT_READY


async def test_an_outage_of_magnums_says_nothing_of_an_app() -> None:
    """However long: its end is waited for, since nobody knows that it is silent."""
    house = House()
    house.magnum.unsigned = BackendUnavailable("away")
    order = command(DeprovisionApp(cloud="devcloud", cluster=CLUSTER))
    with pytest.raises(BackendUnavailable):
        await remove_app(house.magnum, house.kit, order)
    seen = (await house.inspect(**{APP: CLUSTER}))[APP]
    assert isinstance(seen, AppInspectionFailed)


async def test_what_is_there_gone_or_silent_is_told_app_by_app() -> None:
    """One cluster's silence is not another's; all on it share one look."""
    house = House("quick", "dead")
    house.servers["quick"].app_looks["a"] = READY
    house.servers["dead"].refuses = True
    seen = await house.inspect(a="quick", b="quick", c="dead", d="dead", e="no-such")
    told = {name: one for name, one in seen.items() if isinstance(one, AppObserved)}
    assert told.keys() == seen.keys()
    assert told["a"].parts == READY.parts
    assert told["b"].gone
    assert told["c"].unanswered == told["d"].unanswered == "It can't be reached."
    assert told["e"].cluster_gone
    assert len(house.servers["dead"].apps_looked_at) == 1


async def test_a_cluster_that_hangs_costs_its_own_apps_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others are told all the same; of its own nothing is known until its look has ended."""
    monkeypatch.setattr(app_rounds, "PATIENCE", 0.1)
    house = House("quick", "hangs")
    answering = house.servers["hangs"].answering = asyncio.Event()
    house.servers["quick"].app_looks["a"] = READY

    async def told() -> dict[str, Message]:  # a machine that pauses may need another try
        return await house.inspect(a="quick", b="hangs", c="hangs")

    assert (await eventually(told)).keys() == {"a"}
    house.servers["hangs"].refuses = True
    answering.set()
    monkeypatch.setattr(app_rounds, "PATIENCE", 20.0)
    later = await house.inspect(b="hangs", c="hangs")
    for one in later.values():
        assert isinstance(one, AppObserved)
        assert one.unanswered == "It can't be reached."
    assert later.keys() == {"b", "c"}
    assert len(house.servers["hangs"].apps_looked_at) == 1


async def test_a_slow_cluster_is_looked_at_to_its_end_however_often_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its last apps are reached, too, and each is told once."""
    monkeypatch.setattr(app_rounds, "PATIENCE", 0.05)
    house = House()
    gate = house.server.answering = asyncio.Event()
    names = [f"app-{number}" for number in range(12)]
    house.server.app_looks = dict.fromkeys(names, READY)
    asked = dict.fromkeys(names, CLUSTER)
    for _ in range(3):
        assert await house.inspect(**asked) == {}
    gate.set()
    monkeypatch.setattr(app_rounds, "PATIENCE", 20.0)
    assert (await house.inspect(**asked)).keys() == set(names)
    assert sorted(house.server.apps_looked_at) == sorted(names)


async def test_one_tenants_dripping_clusters_leave_places_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who waits for a place is not told to be silent."""
    monkeypatch.setattr(looking, "OF_A_PROJECT", 1)
    monkeypatch.setattr(app_rounds, "PATIENCE", 0.1)
    house = House("drips", "quick")
    house.servers["quick"].app_looks["a"] = READY
    gate = house.servers["drips"].answering = asyncio.Event()
    assert await house.inspect(b="drips", a="quick") == {}
    gate.set()
    monkeypatch.setattr(app_rounds, "PATIENCE", 20.0)
    seen = await house.inspect(b="drips", a="quick")
    assert isinstance(seen["a"], AppObserved)
    assert seen["a"].parts == READY.parts


async def test_a_broken_list_of_magnums_is_gone_around_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever else is wrong with Magnum is said of all the tenant's apps."""
    house = House()
    house.server.app_looks[APP] = READY
    by_name = {CLUSTER: next(iter(house.magnum.kept.values()))}

    async def broken() -> Any:
        raise TemporaryError("400", reason=reason)

    async def named(name: str) -> Any:
        return by_name.get(name)

    monkeypatch.setattr(house.magnum, "clusters", broken)
    monkeypatch.setattr(house.magnum, "cluster", named)
    reason = Reason.BACKEND_UNAVAILABLE
    (failed,) = (await house.inspect(**{APP: CLUSTER})).values()
    assert isinstance(failed, AppInspectionFailed)
    reason = Reason.BACKEND_REFUSED
    monkeypatch.setattr(house.magnum, "kept", {"m-1": by_name[CLUSTER]})
    seen = (await house.inspect(**{APP: CLUSTER}))[APP]
    assert isinstance(seen, AppObserved)
    assert seen.parts == READY.parts


async def test_a_cluster_that_magnum_can_not_show_keeps_no_other_clusters_apps_from_sight() -> None:
    """It spoils the list for good; only what runs on it can't be looked at or removed.

    Nor can what is on one whose name somebody else's bears, too.
    """
    house = House("spoiled", "good")
    house.servers["good"].app_looks["a"] = READY
    house.magnum.unshowable = {"spoiled"}
    seen = await house.inspect(b="spoiled", a="good")
    assert isinstance(seen["a"], AppObserved)
    assert seen["a"].parts == READY.parts
    failed = seen["b"]
    assert isinstance(failed, AppInspectionFailed)
    assert (failed.resource_ids, failed.problem.detail) == (("b",), "no template")
    with pytest.raises(TemporaryError, match="no template"):
        await find(house.magnum, KIT, "spoiled")
    house.magnum.add("theirs", {})
    seen = await house.inspect(b="theirs", a="good")
    assert isinstance(seen["a"], AppObserved)
    assert isinstance(seen["b"], AppInspectionFailed)


def test_apps_of_one_cluster_have_a_bound_of_their_own() -> None:
    """Beside that of clusters, and among few, however many clusters come and go."""
    bounds = {
        backend_of(ProvisionApp(cloud="devcloud", cluster=f"cluster-{number}"))
        for number in range(200)
    }
    assert 2 < len(bounds) <= 16
    assert "devcloud" not in bounds
    change = ChangeApp(cloud="devcloud", cluster="cluster-1", operation_id="op-1")
    remove = DeprovisionApp(cloud="devcloud", cluster="cluster-1")
    assert backend_of(change) == backend_of(remove)
