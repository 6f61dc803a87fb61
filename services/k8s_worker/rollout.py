"""How far an app's parts are rolled out, and what holds them up, in the cluster's words. Pure.

Sources: Kubernetes' Deployment, StatefulSet and DaemonSet concepts ("deployment status"), and what
``kubectl rollout status`` looks at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.k8s_worker.app_objects import Balanced, Condition, Pod, Waiting, Workload
from shared.contract.messages import AppPart
from shared.contract.problems import Reason

#: How much of the cluster's words is told, and how many addresses.
_LONGEST, _ADDRESSES = 300, 4
_PULLING = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"}
    | {"RegistryUnavailable", "ImageInspectError"}
)
#: What a container is at before it runs, when all goes well.
_ON_ITS_WAY = frozenset({"ContainerCreating", "PodInitializing"})
#: A label of a Deployment's pods.
_HASH = "pod-template-hash"
#: A trouble: its reason in our vocabulary, and the cluster's words.
Trouble = tuple[Reason, str]


def missing(kind: str, name: str) -> AppPart:
    """Return what is said of a part that the app has and the cluster hasn't any more."""
    words = f"{kind} {name} is not there any more."
    reason = Reason.APP_NOT_READY
    return AppPart(kind=kind, name=name, done=False, available=False, reason=reason, words=words)


def balanced_part(kind: str, shown: Balanced) -> AppPart:
    """It is ready when its controller has told an address."""
    balancer = shown.status and shown.status.load_balancer
    found = [one.ip or one.hostname for one in (balancer and balancer.ingress) or ()]
    addresses = tuple(one for one in found if one)[:_ADDRESSES]
    name = shown.metadata.name
    return AppPart(
        kind=kind,
        name=name,
        done=bool(addresses),
        available=bool(addresses),
        reason=None if addresses else Reason.APP_NOT_READY,
        words=None if addresses else f"{kind} {name} has no address yet.",
        addresses=addresses,
    )


def workload_part(kind: str, shown: Workload, pods: Sequence[Pod] = ()) -> AppPart:
    """A workload is done when all its pods are of what was asked for last, and available."""
    name, status = shown.metadata.name, shown.status
    current = status.observed_generation >= shown.metadata.generation
    done, available, count = _counted(kind, shown)
    if current and done:
        return AppPart(kind=kind, name=name, done=True, available=True)
    given_up = _condition(status.conditions, "Progressing", "False") if current else None
    refused = _condition(status.conditions, "ReplicaFailure", "True") if current else None
    words, reason = [f"{kind} {name}: {count}"], Reason.APP_NOT_READY
    for one in (given_up, refused):
        if one is not None:
            words.append(_said(one.reason, one.message))
            reason = Reason.ROLLOUT_FAILED
    own = [one for one in pods if _is_of(kind, name, one)]
    if (trouble := _worst(own)) is not None:
        reason = trouble[0]
        words.append(trouble[1])
    return AppPart(
        kind=kind,
        name=name,
        done=False,
        available=available,
        failed=given_up is not None and given_up.reason == "ProgressDeadlineExceeded",
        reason=reason,
        words="; ".join(words) + ".",
    )


def _counted(kind: str, shown: Workload) -> tuple[bool, bool, str]:
    """Whether it is done and available, as far as numbers tell, and those in words."""
    status, wanted = shown.status, shown.spec.replicas
    if kind == "DaemonSet":
        wanted, ready = status.desired_number_scheduled, status.number_available
        updated, old = status.updated_number_scheduled, 0
    elif kind == "StatefulSet":
        strategy = shown.spec.update_strategy
        kept = strategy.partition if strategy else 0
        by_hand = strategy is not None and strategy.type == "OnDelete"
        ready, old = status.ready_replicas, max(0, status.replicas - wanted)
        updated = wanted if by_hand else status.updated_replicas + min(kept, wanted)
    else:
        ready, updated = status.available_replicas, status.updated_replicas
        old = max(0, status.replicas - updated)
    is_new = updated >= wanted and not old
    words = f"{ready} of {wanted} replicas are available"
    if not is_new:
        words += f", {min(updated, wanted)} of them updated"
    named = _condition(status.conditions, "Available", "True") is not None
    return is_new and ready >= wanted, named or ready >= wanted, words


def _condition(found: Iterable[Condition] | None, name: str, status: str) -> Condition | None:
    return next((one for one in found or () if (one.type, one.status) == (name, status)), None)


def _is_of(kind: str, name: str, pod: Pod) -> bool:
    """Tell whether the workload made the pod: names that begin alike say nothing.

    A Deployment's are its ReplicaSets', which are called after it and the hash that they label
    their pods with.
    """
    owner = next((one for one in pod.metadata.owner_references or () if one.controller), None)
    if owner is None:
        return False
    if kind == "Deployment":
        kind, name = "ReplicaSet", f"{name}-{(pod.metadata.labels or {}).get(_HASH)}"
    return (owner.kind, owner.name) == (kind, name)


def _worst(pods: Iterable[Pod]) -> Trouble | None:
    """What holds up one of the pods."""
    troubles = [
        (reason, f"Pod {pod.metadata.name}: {words}")
        for pod in pods
        if pod.metadata.deletion_timestamp is None
        for reason, words in _troubles(pod)
    ]
    rank = (Reason.UNSCHEDULABLE, Reason.IMAGE_PULL_FAILED, Reason.APP_NOT_READY)
    return min(troubles, key=lambda one: rank.index(one[0]), default=None)


def _troubles(pod: Pod) -> Iterable[Trouble]:
    status = pod.status
    if status is None:
        return
    unscheduled = _condition(status.conditions, "PodScheduled", "False")
    if unscheduled is not None and unscheduled.reason == "Unschedulable":
        yield Reason.UNSCHEDULABLE, _said(unscheduled.reason, unscheduled.message)
    for one in (*(status.init_container_statuses or ()), *(status.container_statuses or ())):
        waiting = one.state.waiting if one.state else None
        if waiting is not None and waiting.reason and waiting.reason not in _ON_ITS_WAY:
            yield _why(waiting), _said(waiting.reason, waiting.message)


def _why(waiting: Waiting) -> Reason:
    return Reason.IMAGE_PULL_FAILED if waiting.reason in _PULLING else Reason.APP_NOT_READY


def _said(reason: str | None, message: str | None) -> str:
    words = ": ".join(one for one in (reason, message) if one)
    return " ".join(words.split())[:_LONGEST].rstrip(".")
