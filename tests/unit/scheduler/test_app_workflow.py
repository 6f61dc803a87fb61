"""Apps on their way through the workflow: what their cluster shows, and what that proves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.scheduler import operations
from services.scheduler.app_sightings import BEGUN_WITHIN, GOING_AT_MOST, UNANSWERED_AT_MOST
from services.scheduler.ledger import inspection_of
from services.scheduler.steps import UNDO_AGAIN
from shared.contract.kinds import SEALED
from shared.contract.manifests import SECRETS
from shared.contract.messages import (
    AppApplied,
    AppChangeStarted,
    AppDeletionStarted,
    AppDeprovisioned,
    AppInspection,
    AppObserved,
    AppPart,
    ChangeApp,
    DeprovisionApp,
    InspectApps,
    ProvisionApp,
    RequestSubmitted,
)
from shared.contract.problems import Reason
from shared.contract.resources import OperationState, Phase, Placement, Verb
from tests.unit.scheduler.walked import ULID, Walked

APP, CLUSTER = f"app-{ULID}", f"cluster-{ULID}"
DEAD = "The API server can't be reached."
PULLING = "Deployment web: 0 of 1 replicas are available; Pod web-1: ErrImagePull: no such image."
READY = AppPart(kind="Deployment", name="web", done=True, available=True)
ADDRESSED = AppPart(
    kind="Ingress", name="web", done=True, available=True, addresses=("203.0.113.7",)
)


def part(**fields: Any) -> AppPart:
    """One that isn't ready."""
    told = {"done": False, "available": False, "reason": Reason.APP_NOT_READY, **fields}
    return AppPart(kind="Deployment", name="web", **told)


class App(Walked):
    """One app of the short form, walked by hand."""

    def __init__(self, *, started: bool = True, **spec: Any) -> None:
        spec = {"cluster": CLUSTER, **(spec or {"image": "nginx", "port": 80})}
        super().__init__("app", spec, Placement(cloud="devcloud"))
        if started:
            self.answer(AppApplied(namespace=APP))

    def see(self, *parts: AppPart, **fields: Any) -> None:
        self.observe(AppObserved, parts=parts, **fields)

    def change(self, number: int = 1, **spec: Any) -> None:
        asked = RequestSubmitted(
            verb=Verb.UPDATE,
            kind="app",
            resource_id=APP,
            spec=spec,
            operation_id=f"op-{number}",
        )
        self._take(operations.request(self.state, self.definition, self.now, asked))

    def operation(self) -> OperationState:
        return self.status.operations[-1].state


def living(**spec: Any) -> App:
    app = App(**spec)
    app.see(READY, ADDRESSED)
    assert app.phase() is Phase.ACTIVE
    return app


def test_the_command_says_what_was_asked_for() -> None:
    """The short form, or manifests; Secrets go sealed."""
    assert App(started=False).command().message == ProvisionApp(
        cloud="devcloud", cluster=CLUSTER, image="nginx", port=80
    )
    thing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    assert App(started=False, manifests=[thing]).command().message == ProvisionApp(
        cloud="devcloud", cluster=CLUSTER, manifests=(thing,)
    )


def test_rolled_out_and_with_an_address_is_active_and_shows_it() -> None:
    """With the namespace and the parts."""
    outputs = living().status.outputs
    assert outputs == {
        "namespace": APP,
        "addresses": ["203.0.113.7"],
        "parts": [
            {"kind": "Deployment", "name": "web", "ready": True},
            {"kind": "Ingress", "name": "web", "ready": True},
        ],
        "degraded": False,
    }


def test_what_holds_it_up_is_told_and_it_is_looked_at_often() -> None:
    """In the cluster's words, under the reason that says most; it may still come right."""
    app = App()
    waits = AppPart(
        kind="Ingress",
        name="web",
        done=False,
        available=False,
        reason=Reason.APP_NOT_READY,
        words="Ingress web has no address yet.",
    )
    app.see(waits, part(reason=Reason.IMAGE_PULL_FAILED, words=PULLING))
    assert (app.phase(), app.reason()) == (Phase.PROVISIONING, Reason.IMAGE_PULL_FAILED)
    assert app.status.message == f"Ingress web has no address yet. {PULLING}"
    assert inspection_of(app.state) == "soon"
    app.see(unanswered=DEAD)
    assert (app.reason(), app.status.message) == (Reason.CLUSTER_NOT_READY, DEAD)
    app.see(READY, ADDRESSED)
    assert (app.phase(), app.reason()) == (Phase.ACTIVE, None)


def test_what_the_cluster_has_given_up_fails_and_is_removed() -> None:
    """With the reason that the pods have, and failed only when the last of it is gone."""
    app = App()
    app.see(part(failed=True, reason=Reason.UNSCHEDULABLE, words="0/2 nodes are available."))
    assert app.command().message == DeprovisionApp(cloud="devcloud", cluster=CLUSTER)
    app.answer(AppDeletionStarted())
    app.see(READY)
    assert app.phase() is Phase.DEPROVISIONING
    app.see(gone=True)
    assert (app.phase(), app.reason()) == (Phase.FAILED, Reason.UNSCHEDULABLE)
    assert app.status.error is not None
    assert app.status.error.detail == "0/2 nodes are available."


def test_when_its_time_is_over_it_says_what_it_waited_for() -> None:
    """A StatefulSet is never given up by the cluster."""
    app = App()
    app.see(part(words=PULLING))
    app.ring("overdue/app")
    assert PULLING in (app.status.message or "")
    assert app.commands() == {"DeprovisionApp"}


@pytest.mark.parametrize("how", [{"gone": True}, {"cluster_gone": True}])
def test_a_lost_app_fails_whether_it_was_being_made_or_alive(how: dict[str, bool]) -> None:
    """With its cluster, or by somebody's hand."""
    for app in (App(), living()):
        app.see(**how)
        app.answer(AppDeprovisioned())
        assert (app.phase(), app.reason()) == (Phase.FAILED, Reason.REMOVED_EXTERNALLY)


def test_a_living_one_that_is_not_well_is_degraded_and_recovers() -> None:
    """Its phase stays; while nobody answers its parts are those of before."""
    app = living()
    app.see(part(words=PULLING), ADDRESSED)
    assert (app.phase(), app.reason()) == (Phase.ACTIVE, Reason.APP_DEGRADED)
    assert (app.status.message, app.status.outputs["degraded"]) == (PULLING, True)
    app.see(unanswered=DEAD)
    assert app.status.message == DEAD
    assert app.status.outputs["parts"][0] == {"kind": "Deployment", "name": "web", "ready": False}
    app.see(READY, ADDRESSED)
    assert (app.reason(), app.status.outputs["degraded"]) == (None, False)


def test_one_look_that_nobody_answers_is_no_trouble_yet() -> None:
    """The second one in a row is; it comes soon."""
    app = living()
    app.see(unanswered=DEAD)
    assert (app.reason(), inspection_of(app.state)) == (None, "soon")
    app.see(unanswered=DEAD)
    assert (app.reason(), app.status.message) == (Reason.APP_DEGRADED, DEAD)


def test_a_change_is_done_when_all_is_rolled_out() -> None:
    """The command says all that it is to be; the spec is that only then."""
    app = living()
    app.change(image="nginx:2", replicas=3)
    assert app.command().message == ChangeApp(
        cloud="devcloud",
        cluster=CLUSTER,
        operation_id="op-1",
        image="nginx:2",
        port=80,
        replicas=3,
    )
    app.answer(AppChangeStarted(operation_id="op-1"))
    assert inspection_of(app.state) == "soon"
    app.see(part(available=True, words="1 of 3"), ADDRESSED)
    assert (app.operation(), app.reason()) == (OperationState.RUNNING, None)
    app.see(unanswered=DEAD)
    assert app.operation() is OperationState.RUNNING
    app.see(READY, ADDRESSED)
    assert app.operation() is OperationState.DONE
    assert app.state.resource.spec["image"] == "nginx:2"


def test_a_change_that_the_cluster_gives_up_fails_and_the_app_lives() -> None:
    """It is degraded though what was before may still do its work; another change mends it."""
    app = living()
    app.change(image="nginx:none")
    app.answer(AppChangeStarted(operation_id="op-1"))
    given_up = part(failed=True, available=True, reason=Reason.IMAGE_PULL_FAILED, words=PULLING)
    app.see(given_up, ADDRESSED)
    assert (app.phase(), app.operation()) == (Phase.ACTIVE, OperationState.FAILED)
    error = app.status.operations[-1].error
    assert error is not None
    assert (error.reason, error.detail) == (Reason.IMAGE_PULL_FAILED, PULLING)
    assert app.state.resource.spec["image"] == "nginx"
    app.see(given_up, ADDRESSED)
    assert app.reason() is Reason.APP_DEGRADED
    app.change(2, image="nginx:3")
    app.answer(AppChangeStarted(operation_id="op-2"))
    app.see(READY, ADDRESSED)
    assert (app.operation(), app.reason()) == (OperationState.DONE, None)


def test_an_app_keeps_its_form() -> None:
    """A change to another one is recorded as failed, and nothing is asked of the cluster."""
    app = living()
    app.change(manifests=[])
    assert app.operation() is OperationState.FAILED
    error = app.status.operations[-1].error
    assert error is not None
    assert "manifests or image" in (error.detail or "")
    other = living(manifests=[])
    other.change(replicas=2)
    assert other.operation() is OperationState.FAILED
    assert app.commands() == other.commands() == set()


def test_secrets_of_a_change_go_sealed_and_stay_where_none_are_named() -> None:
    """Neither is in the spec."""
    app = living(manifests=[])
    spec: dict[str, Any] = {"manifests": [], SEALED + SECRETS: "c2VhbGVk"}
    app.change(**spec)
    sent = app.command().message
    assert isinstance(sent, ChangeApp)
    assert sent.sealed_secret_manifests == "c2VhbGVk"
    app.answer(AppChangeStarted(operation_id="op-1"))
    app.see(READY)
    assert app.state.resource.spec == {"cluster": CLUSTER, "manifests": []}
    app.change(2, manifests=[])
    sent = app.command().message
    assert isinstance(sent, ChangeApp)
    assert sent.sealed_secret_manifests is None


@pytest.mark.parametrize(
    ("seen", "patience", "words"),
    [
        ({"unanswered": DEAD}, UNANSWERED_AT_MOST, DEAD),
        ({"going": "Some content remains."}, GOING_AT_MOST, "Some content remains."),
    ],
)
def test_what_does_not_go_within_its_time_is_left_and_named(
    seen: dict[str, Any], patience: timedelta, words: str
) -> None:
    """A delete always ends, whatever the tenant's cluster does; repeats don't begin it anew."""
    app = living()
    app.delete()
    app.answer(AppDeletionStarted())
    app.observe(AppObserved, **seen)
    began = app.now
    if patience > UNDO_AGAIN:
        app.ring("retry/app")
        app.answer(AppDeletionStarted())
    app.now = began + patience - timedelta(seconds=10)
    app.observe(AppObserved, **seen)
    assert app.phase() is Phase.DEPROVISIONING
    app.now += timedelta(seconds=10)
    app.observe(AppObserved, **seen)
    assert app.phase() is Phase.DELETED
    assert app.status.outputs["left_behind"] == [words]


def test_one_lost_look_does_not_end_the_wait_for_a_namespace_that_is_going() -> None:
    """Silence has a time of its own, from its first look, and any answer ends it."""
    app = living()
    app.delete()
    app.answer(AppDeletionStarted())
    going = {"going": "An Octavia balancer remains."}
    app.observe(AppObserved, **going)
    app.now += UNANSWERED_AT_MOST + timedelta(seconds=10)
    app.observe(AppObserved, unanswered=DEAD)
    assert app.phase() is Phase.DEPROVISIONING
    app.observe(AppObserved, **going)
    app.now += UNANSWERED_AT_MOST - timedelta(seconds=10)
    app.observe(AppObserved, unanswered=DEAD)
    assert app.phase() is Phase.DEPROVISIONING
    app.observe(AppObserved, gone=True)
    assert app.phase() is Phase.DELETED
    assert "left_behind" not in app.status.outputs


def test_an_end_that_was_not_ordered_is_ordered_when_the_cluster_answers_again() -> None:
    """At once, and it ends all the same if the order never has an effect."""
    app = living()
    app.delete()
    app.answer(AppDeletionStarted(unanswered=DEAD))
    app.observe(AppObserved, unanswered=DEAD)
    app.now += UNANSWERED_AT_MOST - timedelta(seconds=10)
    for _ in range(2):
        app.observe(AppObserved, parts=(READY,))
        assert app.phase() is Phase.DEPROVISIONING
        app.ring("retry/app")
        app.now += BEGUN_WITHIN
        assert app.command().message == DeprovisionApp(cloud="devcloud", cluster=CLUSTER)
        app.answer(AppDeletionStarted())
    app.now += GOING_AT_MOST
    app.observe(AppObserved, parts=(READY,))
    assert app.phase() is Phase.DELETED
    assert app.status.outputs["left_behind"] == [f"The namespace {APP} is still there."]


def test_what_is_gone_is_deleted_at_once() -> None:
    """And nothing is said to be left."""
    app = living()
    app.delete()
    app.answer(AppDeprovisioned())
    assert app.phase() is Phase.DELETED
    assert "left_behind" not in app.status.outputs


def test_an_inspection_says_which_cluster_each_is_on() -> None:
    """All of a cloud in one command."""
    (inspection,) = App().definition.inspections
    asked = inspection.command("devcloud", [App().state])
    one = AppInspection(resource_id=APP, tenant="bigtop", cluster=CLUSTER)
    assert asked == InspectApps(cloud="devcloud", apps=(one,))
