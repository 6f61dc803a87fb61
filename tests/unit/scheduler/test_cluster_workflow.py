"""Clusters on their way through the workflow: what Magnum says, and what that proves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.scheduler import operations
from services.scheduler.cluster_sightings import SHOWN_WITHIN
from services.scheduler.ledger import inspection_of
from services.scheduler.state import Ending, Goal
from shared.contract.messages import (
    ClusterCheck,
    ClusterCreateStarted,
    ClusterDeletionStarted,
    ClusterDeprovisioned,
    ClusterObserved,
    ClusterResizeStarted,
    DeprovisionCluster,
    KubernetesNode,
    ProvisionCluster,
    RequestSubmitted,
    ResizeCluster,
)
from shared.contract.problems import Reason
from shared.contract.resources import OperationState, Phase, Placement, Verb
from tests.unit.scheduler.walked import ULID, Walked

CLUSTER = f"cluster-{ULID}"
API = "https://203.0.113.20:6443"
DEAD = f"The API server at {API} can't be reached."


def nodes(ready: int, others: int = 0) -> tuple[KubernetesNode, ...]:
    return tuple(
        KubernetesNode(name=f"node-{number}", ready=number < ready, reason="gone away")
        for number in range(ready + others)
    )


class Cluster(Walked):
    """One cluster of two nodes, walked by hand."""

    def __init__(self, *, started: bool = True, **spec: Any) -> None:
        spec = {"node_count": 2, "version": "1.20", **spec}
        super().__init__("cluster", spec, Placement(cloud="devcloud"))
        if started:
            self.answer(ClusterCreateStarted(cluster_id="m-1", template_id="t-1"))

    def see(self, status: str = "CREATE_COMPLETE", **fields: Any) -> None:
        shown = {"cluster_id": "m-1", "cluster_status": status, **fields}
        self.observe(ClusterObserved, **shown)

    def answers(self, ready: int, others: int = 0, *, count: int = 2, **fields: Any) -> None:
        """Its API server answers."""
        more = {"api_address": API, "version": "v1.20.2", **fields}
        numbers = {"nodes_ready": ready, "nodes_total": ready + others}
        self.see(nodes=nodes(ready, others), node_count=count, **{**numbers, **more})

    def resize(self, node_count: int) -> None:
        asked = RequestSubmitted(
            verb=Verb.UPDATE,
            kind="cluster",
            resource_id=CLUSTER,
            spec={"node_count": node_count},
            operation_id="op-1",
        )
        self._take(operations.request(self.state, self.definition, self.now, asked))

    def operation(self) -> OperationState:
        return self.status.operations[-1].state


def held_up(cluster: Cluster) -> tuple[datetime | None, datetime | None]:
    asked = cluster.command().message
    assert isinstance(asked, DeprovisionCluster)
    return asked.draining_since, asked.silent_since


def living() -> Cluster:
    cluster = Cluster()
    cluster.answers(2)
    assert cluster.phase() is Phase.ACTIVE
    return cluster


def test_the_command_says_what_was_asked_for() -> None:
    """Node count, version, and what else was named."""
    asked = Cluster(started=False, flavor="large", arch="aarch64").command().message
    assert asked == ProvisionCluster(
        cloud="devcloud", node_count=2, version="1.20", flavor="large", arch="aarch64"
    )


def test_complete_with_its_nodes_ready_is_active_and_shows_them() -> None:
    """By names and addresses, with the version that it has."""
    outputs = living().status.outputs
    assert [one["name"] for one in outputs["nodes"]] == ["node-0", "node-1"]
    assert (outputs["kubernetes_version"], outputs["api_address"]) == ("v1.20.2", API)
    assert (outputs["cluster_id"], outputs["degraded"]) == ("m-1", False)


def test_the_one_of_two_that_is_seen_is_the_one_that_is_had() -> None:
    """A command that was delivered twice has made two, and the one that was told of is gone."""
    cluster = Cluster(started=False)
    cluster.answer(ClusterCreateStarted(cluster_id="m-0", template_id="t-1"))
    cluster.answers(ready=2)
    assert cluster.phase() is Phase.ACTIVE
    assert cluster.status.outputs["cluster_id"] == "m-1"
    cluster.resize(3)
    assert cluster.command().message == ResizeCluster(
        cloud="devcloud", cluster_id="m-1", operation_id="op-1", node_count=3
    )


def test_complete_with_a_dead_api_server_is_not_active_and_says_why() -> None:
    """And becomes so when it answers."""
    cluster = Cluster()
    cluster.see(unanswered=DEAD)
    assert (cluster.phase(), cluster.reason()) == (Phase.PROVISIONING, Reason.CLUSTER_NOT_READY)
    assert cluster.status.message == DEAD
    assert inspection_of(cluster.state) == "soon"
    cluster.answers(1, 1)
    assert cluster.status.message == "1 of 2 nodes are Ready; node-1: gone away."
    cluster.answers(2)
    assert (cluster.phase(), cluster.reason()) == (Phase.ACTIVE, None)


def test_another_version_than_asked_for_fails_and_is_removed() -> None:
    """A template that was named may make anything."""
    cluster = Cluster(template="old")
    cluster.answers(2, version="v1.19.1")
    assert cluster.commands() == {"DeprovisionCluster"}
    cluster.answer(ClusterDeprovisioned())
    assert (cluster.phase(), cluster.reason()) == (Phase.FAILED, Reason.CLUSTER_FAILED)
    assert cluster.status.error is not None
    assert "v1.19.1, and not 1.20" in (cluster.status.error.detail or "")


def test_magnums_failure_is_the_resources_and_nothing_is_left() -> None:
    """With Magnum's own words; failed only when the last of it is gone."""
    cluster = Cluster()
    cluster.see("CREATE_FAILED", status_reason="no room")
    assert cluster.command().message == DeprovisionCluster(cloud="devcloud", cluster_id="m-1")
    cluster.answer(ClusterDeletionStarted(cluster_id="m-1"))
    cluster.see("DELETE_IN_PROGRESS")
    assert cluster.phase() is Phase.DEPROVISIONING
    cluster.observe(ClusterObserved, cluster_id="m-1", gone=True)
    assert (cluster.phase(), cluster.reason()) == (Phase.FAILED, Reason.CLUSTER_FAILED)
    assert cluster.status.error is not None
    assert cluster.status.error.detail == "no room"


def test_what_magnum_does_not_show_yet_is_waited_for_and_what_disappears_fails() -> None:
    """It shows a cluster some time after it has accepted it."""
    cluster = Cluster()
    cluster.observe(ClusterObserved, gone=True)
    assert cluster.phase() is Phase.PROVISIONING
    cluster.see("CREATE_IN_PROGRESS")
    cluster.observe(ClusterObserved, gone=True)
    assert cluster.commands() == {"DeprovisionCluster"}
    assert cluster.reason() is Reason.REMOVED_EXTERNALLY


def test_what_magnum_has_accepted_and_never_shows_is_ordered_again() -> None:
    """Its conductor died over the order; the next order is given time, too."""
    cluster = Cluster()
    cluster.now += SHOWN_WITHIN - timedelta(seconds=2)
    cluster.observe(ClusterObserved, gone=True)
    assert (cluster.commands(), cluster.reason()) == (set(), None)
    cluster.observe(ClusterObserved, gone=True)
    assert (cluster.phase(), cluster.reason()) == (Phase.PROVISIONING, Reason.BACKEND_TIMEOUT)
    assert "not shown it for 90 s" in (cluster.status.message or "")
    cluster.ring("retry/cluster")
    again = cluster.command()
    assert (type(again.message), again.attempt) == (ProvisionCluster, 2)
    cluster.answer(ClusterCreateStarted(cluster_id="m-2", template_id="t-1"))
    assert cluster.reason() is None
    cluster.observe(ClusterObserved, gone=True)
    assert (cluster.commands(), inspection_of(cluster.state)) == (set(), "soon")
    cluster.answers(2, cluster_id="m-2")
    assert (cluster.phase(), cluster.status.outputs["cluster_id"]) == (Phase.ACTIVE, "m-2")


def test_a_lost_order_is_repeated_for_as_long_as_a_making_may_take() -> None:
    """At longer and longer intervals: a conductor that comes back finds them all at once."""
    cluster = Cluster()
    for number in range(2, 5):
        cluster.now += SHOWN_WITHIN * 2 ** (number - 2) - timedelta(seconds=2)
        cluster.observe(ClusterObserved, gone=True)
        assert cluster.commands() == set()
        cluster.observe(ClusterObserved, gone=True)
        cluster.ring("retry/cluster")
        cluster.answer(ClusterCreateStarted(cluster_id=f"m-{number}", template_id="t-1"))
    cluster.now = cluster.timers["overdue/cluster"]
    cluster.ring("overdue/cluster")
    assert (cluster.commands(), cluster.reason()) == (
        {"DeprovisionCluster"},
        Reason.BACKEND_TIMEOUT,
    )


def test_a_living_cluster_is_drained_first_and_says_what_was_left() -> None:
    """Since when that is on its way is told; one that never lived has nothing outside."""
    cluster = living()
    cluster.delete()
    first, cluster_id = cluster.now, "m-1"
    for since in (None, first, first):
        assert cluster.command().message == DeprovisionCluster(
            cloud="devcloud", cluster_id=cluster_id, drain=True, draining_since=since
        )
        cluster.fail(Reason.IN_USE, retryable=True)
        assert (cluster.phase(), cluster.reason()) == (Phase.DEPROVISIONING, Reason.IN_USE)
        cluster.ring("retry/cluster")
    cluster.answer(ClusterDeletionStarted(cluster_id="m-1", left=("Service default/web",)))
    assert cluster.status.outputs["left_behind"] == ["Service default/web"]
    cluster.observe(ClusterObserved, cluster_id="m-1", gone=True)
    assert cluster.phase() is Phase.DELETED


def test_what_was_left_is_told_once() -> None:
    """An order that follows looks for nothing again: it would be told less than the first."""
    cluster = living()
    cluster.delete()
    cluster.fail(Reason.IN_USE, retryable=True)
    cluster.ring("retry/cluster")
    cluster.answer(ClusterDeletionStarted(cluster_id="m-1", left=("Service default/web",)))
    cluster.ring("retry/cluster")
    assert held_up(cluster) == (None, None)
    cluster.answer(ClusterDeletionStarted(cluster_id="m-1"))
    assert cluster.status.outputs["left_behind"] == ["Service default/web"]


def test_only_what_draining_says_hurries_a_delete() -> None:
    """An outage of Magnum's is no reason to leave balancers and volumes behind."""
    cluster = living()
    cluster.delete()
    for _ in range(12):
        cluster.fail(Reason.BACKEND_UNAVAILABLE, retryable=True)
        cluster.ring("retry/cluster")
    assert held_up(cluster) == (None, None)
    silent = cluster.now
    for _ in range(2):
        cluster.fail(Reason.CLUSTER_NOT_READY, retryable=True)
        cluster.ring("retry/cluster")
    assert held_up(cluster) == (None, silent)
    cluster.fail(Reason.BACKEND_UNAVAILABLE, retryable=True)  # nobody has listened since
    cluster.ring("retry/cluster")
    assert held_up(cluster) == (None, None)
    draining = cluster.now
    cluster.fail(Reason.IN_USE, retryable=True)  # it answers again: silence begins anew
    cluster.ring("retry/cluster")
    assert held_up(cluster) == (draining, None)


def test_a_delete_that_fails_is_ordered_again() -> None:
    """It ends in deleted, or goes on."""
    cluster = living()
    cluster.delete()
    cluster.answer(ClusterDeletionStarted(cluster_id="m-1"))
    cluster.see("DELETE_FAILED", status_reason="in use")
    cluster.ring("retry/cluster")
    assert cluster.commands() == {"DeprovisionCluster"}
    cluster.answer(ClusterDeprovisioned())
    assert cluster.phase() is Phase.DELETED


@pytest.mark.parametrize(
    "trouble", [{"unanswered": DEAD}, {"nodes": nodes(1, 1), "nodes_ready": 1, "nodes_total": 2}]
)
def test_a_living_cluster_in_trouble_is_degraded_and_recovers(trouble: dict[str, Any]) -> None:
    """A field, a reason and the words of what is wrong; the phase stays."""
    cluster = living()
    cluster.see(**trouble)
    cluster.see(**trouble)
    assert (cluster.phase(), cluster.reason()) == (Phase.ACTIVE, Reason.CLUSTER_DEGRADED)
    assert cluster.status.outputs["degraded"] is True
    assert [one["name"] for one in cluster.status.outputs["nodes"]] == ["node-0", "node-1"]
    cluster.answers(2)
    assert (cluster.reason(), cluster.status.outputs["degraded"]) == (None, False)


def test_one_look_that_nobody_answers_is_no_trouble_yet() -> None:
    """It is looked at again soon; the public hears nothing, and forgets with the next answer."""
    cluster = living()
    before = cluster.state.resource
    for _ in range(3):
        cluster.see(unanswered=DEAD)
        assert (cluster.state.resource, inspection_of(cluster.state)) == (before, "soon")
        cluster.answers(2)
        assert (cluster.state.resource, inspection_of(cluster.state)) == (before, "slow")
    cluster.see(unanswered=DEAD)
    cluster.see(unanswered=DEAD)
    assert (cluster.reason(), inspection_of(cluster.state)) == (Reason.CLUSTER_DEGRADED, "slow")
    cluster.see(unanswered=DEAD)
    assert cluster.reason() is Reason.CLUSTER_DEGRADED


def test_what_the_template_promises_is_reported_one_by_one() -> None:
    """Nodes alone are not enough; a living one whose checks fail is degraded."""
    no_dns = ClusterCheck(name="dns", passed=False, reason="Service a/dns has no ready endpoint")
    cloud = ClusterCheck(name="cloud", passed=True)
    cluster = Cluster()
    cluster.answers(2, checks=(cloud, no_dns))
    assert (cluster.phase(), cluster.reason()) == (Phase.PROVISIONING, Reason.CLUSTER_NOT_READY)
    words = "Not all checks have passed: dns: Service a/dns has no ready endpoint."
    assert cluster.status.message == words
    shown = [(one["name"], one["passed"]) for one in cluster.status.outputs["checks"]]
    assert shown == [("cloud", True), ("dns", False)]
    cluster.answers(2, checks=(cloud, ClusterCheck(name="dns", passed=True)))
    assert cluster.phase() is Phase.ACTIVE
    assert all(one["passed"] for one in cluster.status.outputs["checks"])
    cluster.answers(2, checks=(cloud, no_dns))
    assert (cluster.reason(), cluster.status.message) == (Reason.CLUSTER_DEGRADED, words)
    assert cluster.status.outputs["checks"][1]["message"] == no_dns.reason


def test_nodes_are_judged_by_their_numbers() -> None:
    """Not all of a large cluster's are told."""
    cluster = Cluster(node_count=1000)
    cluster.answers(300, nodes_ready=999, nodes_total=1000)
    assert cluster.phase() is Phase.PROVISIONING
    cluster.answers(300, nodes_ready=1000, nodes_total=1000)
    assert cluster.phase() is Phase.ACTIVE
    outputs = cluster.status.outputs
    assert (len(outputs["nodes"]), outputs["nodes_ready"]) == (300, 1000)


def test_a_cluster_that_was_removed_behind_our_back_fails() -> None:
    """Nothing of it is left to undo but to make sure."""
    cluster = living()
    cluster.observe(ClusterObserved, gone=True)
    cluster.answer(ClusterDeprovisioned())
    assert (cluster.phase(), cluster.reason()) == (Phase.FAILED, Reason.REMOVED_EXTERNALLY)


@pytest.mark.parametrize("count", [1, 3])
def test_a_resize_is_done_when_as_many_nodes_are_ready_and_no_others(count: int) -> None:
    """The spec follows; on the way there the cluster is not degraded."""
    cluster = living()
    cluster.resize(count)
    assert cluster.command().message == ResizeCluster(
        cloud="devcloud", cluster_id="m-1", operation_id="op-1", node_count=count
    )
    cluster.answer(ClusterResizeStarted(node_count=count))
    cluster.answers(2, count=count)
    assert (cluster.operation(), cluster.reason()) == (OperationState.RUNNING, None)
    cluster.answers(count, count=count)
    assert (cluster.operation(), cluster.reason()) == (OperationState.DONE, None)
    assert cluster.state.resource.spec["node_count"] == count
    assert len(cluster.status.outputs["nodes"]) == count


def test_nobody_tells_of_a_resize_and_it_may_take_as_long_as_a_making() -> None:
    """So it is looked for often, and its end is no proof against the cloud's notifications."""
    cluster = living()
    cluster.resize(3)
    due = cluster.timers["overdue/operation-op-1"]
    assert (due - cluster.now).total_seconds() == 3900
    cluster.answer(ClusterResizeStarted(node_count=3))
    assert cluster.state.progress["operation-op-1"].unproven
    assert inspection_of(cluster.state) == "soon"


def test_nodes_that_went_and_are_still_shown_do_not_hold_up_a_shrink() -> None:
    """Where no cloud's controller removes them they are NotReady, for long."""
    cluster = living()
    cluster.resize(1)
    cluster.answer(ClusterResizeStarted(node_count=1))
    cluster.answers(1, 1, count=1)
    assert (cluster.operation(), cluster.reason()) == (OperationState.DONE, None)


def test_a_resize_that_magnum_gives_up_is_ordered_again_and_ends_with_its_words() -> None:
    """The cluster goes on as it was."""
    cluster = living()
    cluster.resize(30)
    cluster.answer(ClusterResizeStarted(node_count=30))
    cluster.see(
        "UPDATE_FAILED", status_reason="no room for 30", nodes=nodes(2), nodes_ready=2, node_count=2
    )
    cluster.ring("retry/operation-op-1")
    assert cluster.commands() == {"ResizeCluster"}
    cluster.ring("overdue/operation-op-1")
    (operation,) = cluster.status.operations
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert "no room for 30" in (operation.error.detail or "")
    assert cluster.state.resource.spec["node_count"] == 2


def test_a_cluster_waits_for_its_apps_unless_that_is_forced_or_its_lease_has_ended() -> None:
    """What holds it up so long is no reason to hurry with draining later."""
    cluster = living()
    cluster.delete()
    for _ in range(2):
        assert cluster.command().message == DeprovisionCluster(
            cloud="devcloud", cluster_id="m-1", drain=True
        )
        cluster.fail(Reason.HAS_APPS, retryable=True, detail="in use: app-1")
        assert (cluster.reason(), cluster.status.message) == (Reason.HAS_APPS, "in use: app-1")
        cluster.ring("retry/cluster")
    cluster.fail(Reason.HAS_APPS, retryable=True)
    cluster.delete(force=True)
    forced = DeprovisionCluster(cloud="devcloud", cluster_id="m-1", drain=True, force=True)
    assert cluster.command().message == forced
    leased = living()
    leased.end(Ending(goal=Goal.DELETE, reason=Reason.LEASE_EXPIRED))
    assert leased.command().message == forced
