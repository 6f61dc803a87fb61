"""How far workloads are, by what API servers show of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.k8s_worker.app_objects import Balanced, Pod, Workload
from services.k8s_worker.rollout import balanced_part, workload_part
from shared.contract.problems import Reason

AVAILABLE = {"type": "Available", "status": "True"}
OVERDUE = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": 'ReplicaSet "web-1" has timed out progressing.',
}


def workload(wanted: int | None, **status: Any) -> Workload:
    spec = {} if wanted is None else {"replicas": wanted}
    shown = {
        "metadata": {"name": "web", "namespace": "a", "generation": 2},
        "spec": spec,
        "status": {"observedGeneration": 2, **status},
    }
    return msgspec.convert(shown, Workload)


def pod(name: str = "web-1-a", *, owner: str = "ReplicaSet web-1", **status: Any) -> Pod:
    """One of a Deployment's, mostly: its ReplicaSet's name ends as the pod's label says."""
    kind, _, owned_by = owner.partition(" ")
    metadata = {
        "name": name,
        "labels": {"pod-template-hash": owned_by.rpartition("-")[2]},
        "ownerReferences": [
            {"kind": "Node", "name": "web"},
            {"kind": kind, "name": owned_by, "controller": True, "uid": "u-1"},
        ],
    }
    return msgspec.convert({"metadata": metadata, "status": status}, Pod)


def waiting(reason: str, message: str) -> dict[str, Any]:
    return {"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}]}


UNSCHEDULABLE: dict[str, Any] = {
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/2 nodes are available: 2 Insufficient cpu.",
        }
    ]
}


@pytest.mark.parametrize(
    ("kind", "replicas", "status", "done"),
    [
        ("Deployment", 2, {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, True),
        ("Deployment", 2, {"replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}, False),
        ("Deployment", 2, {"replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}, False),
        ("Deployment", 2, {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}, False),
        ("Deployment", 0, {}, True),
        ("Deployment", 2, {}, False),
        (
            "Deployment",
            1,
            {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
            False,
        ),
        ("StatefulSet", 2, {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}, True),
        ("StatefulSet", 2, {"replicas": 2, "updatedReplicas": 1, "readyReplicas": 2}, False),
        ("StatefulSet", 2, {"replicas": 3, "updatedReplicas": 2, "readyReplicas": 2}, False),
        (
            "DaemonSet",
            None,
            {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2},
            True,
        ),
        (
            "DaemonSet",
            None,
            {"desiredNumberScheduled": 2, "updatedNumberScheduled": 1, "numberAvailable": 2},
            False,
        ),
    ],
)
def test_a_workload_is_done_when_all_of_it_is_new_and_available(
    kind: str, replicas: int | None, status: dict[str, Any], done: bool
) -> None:
    """By the generation that was asked for last."""
    part = workload_part(kind, workload(replicas, **status))
    assert (part.done, part.words is None) == (done, done)


def test_a_stateful_set_that_keeps_some_or_replaces_none_is_done_without_them() -> None:
    """Its own strategy says so."""
    status = {"replicas": 3, "updatedReplicas": 1, "readyReplicas": 3}
    for strategy in (
        {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}},
        {"type": "OnDelete"},
    ):
        shown = workload(3, **status)
        spec = msgspec.convert({"replicas": 3, "updateStrategy": strategy}, type(shown.spec))
        assert workload_part("StatefulSet", msgspec.structs.replace(shown, spec=spec)).done


def test_what_holds_its_pods_up_is_told_in_the_clusters_words() -> None:
    """Of other workloads' pods, and of those that go, nothing."""
    others = pod("other-1-a", owner="ReplicaSet other-1", **waiting("ErrImagePull", "not ours"))
    going = pod(**waiting("ErrImagePull", "going"))
    gone = msgspec.structs.replace(going.metadata, deletion_timestamp="2026-01-01T00:00:00Z")
    pods = [others, msgspec.structs.replace(going, metadata=gone), pod(**UNSCHEDULABLE)]
    part = workload_part("Deployment", workload(1), pods)
    assert (part.reason, part.failed, part.done) == (Reason.UNSCHEDULABLE, False, False)
    assert part.words == (
        "Deployment web: 0 of 1 replicas are available, 0 of them updated; Pod web-1-a: "
        "Unschedulable: 0/2 nodes are available: 2 Insufficient cpu."
    )


@pytest.mark.parametrize(
    ("kind", "theirs", "others"),
    [
        ("Deployment", "ReplicaSet web-1", "ReplicaSet web-api-1"),
        ("Deployment", "ReplicaSet web-1", "StatefulSet web"),
        ("StatefulSet", "StatefulSet web", "StatefulSet web-api"),
        ("StatefulSet", "StatefulSet web", "ReplicaSet web-1"),
        ("DaemonSet", "DaemonSet web", "DaemonSet web-api"),
    ],
)
def test_another_workloads_trouble_is_not_told_as_this_ones(
    kind: str, theirs: str, others: str
) -> None:
    """However alike their names are: a pod says by whom it was made."""
    shown = workload(1, desiredNumberScheduled=1)
    part = workload_part(kind, shown, [pod("web-api-1-b", owner=others, **UNSCHEDULABLE)])
    assert (part.reason, "web-api" in (part.words or "")) == (Reason.APP_NOT_READY, False)
    part = workload_part(kind, shown, [pod(owner=theirs, **UNSCHEDULABLE)])
    assert part.reason == Reason.UNSCHEDULABLE


def test_pods_that_somebody_made_by_hand_are_no_workloads() -> None:
    """Nor are those of a ReplicaSet that no Deployment made: they bear no hash of it."""
    bare = {"metadata": {"name": "web-1-a"}, "status": UNSCHEDULABLE}
    by_hand = pod(**UNSCHEDULABLE)
    unmarked = msgspec.structs.replace(by_hand.metadata, labels=None)
    pods = [
        msgspec.convert(bare, Pod),
        msgspec.structs.replace(by_hand, metadata=unmarked),
    ]
    assert workload_part("Deployment", workload(1), pods).reason == Reason.APP_NOT_READY


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("ImagePullBackOff", Reason.IMAGE_PULL_FAILED),
        ("ErrImagePull", Reason.IMAGE_PULL_FAILED),
        ("CrashLoopBackOff", Reason.APP_NOT_READY),
        ("CreateContainerConfigError", Reason.APP_NOT_READY),
    ],
)
def test_a_container_that_waits_says_why(reason: str, ours: Reason) -> None:
    """An init container's, too."""
    words = waiting(reason, "Back-off\n  of it")
    for status in (words, {"initContainerStatuses": words["containerStatuses"]}):
        part = workload_part("Deployment", workload(1), [pod(**status)])
        assert part.reason == ours
        assert f"Pod web-1-a: {reason}: Back-off of it." in (part.words or "")


def test_given_up_by_the_cluster_is_failed_with_what_held_it_up() -> None:
    """Though the pods of before are still available."""
    status = {"replicas": 2, "updatedReplicas": 1, "availableReplicas": 1}
    shown = workload(1, **status, conditions=[AVAILABLE, OVERDUE])
    part = workload_part("Deployment", shown, [pod(**UNSCHEDULABLE)])
    assert (part.failed, part.available, part.reason) == (True, True, Reason.UNSCHEDULABLE)
    assert "ProgressDeadlineExceeded: ReplicaSet" in (part.words or "")
    assert "Unschedulable" in (part.words or "")
    old = msgspec.structs.replace(
        shown, metadata=msgspec.structs.replace(shown.metadata, generation=3)
    )
    assert not workload_part("Deployment", old).failed


def test_words_are_bounded() -> None:
    """Whatever a server says."""
    part = workload_part("Deployment", workload(1), [pod(**waiting("Odd", "x" * 10_000))])
    assert len(part.words or "") < 600


@pytest.mark.parametrize("kind", ["Ingress", "Service"])
def test_what_a_load_balancer_leads_to_is_done_with_an_address(kind: str) -> None:
    """Its controller's, which may be a name."""

    def balanced(found: Any) -> Balanced:
        status = {"loadBalancer": {} if found is None else {"ingress": found}}
        return msgspec.convert({"metadata": {"name": "web"}, "status": status}, Balanced)

    nothing: tuple[Any, ...] = (None, [], [{}])
    for empty in nothing:
        part = balanced_part(kind, balanced(empty))
        assert (part.done, part.words) == (False, f"{kind} web has no address yet.")
    part = balanced_part(kind, balanced([{"ip": "203.0.113.7"}, {"hostname": "lb.example.org"}]))
    assert (part.kind, part.done) == (kind, True)
    assert part.addresses == ("203.0.113.7", "lb.example.org")
