"""The end of what outlives a cluster: load balancers of Services, and volumes.

Only core v1 is used. First none can be made anew: a quota of zero stands in each namespace that has
any, since a StatefulSet's controller makes a claim as soon as the one before is gone, and GitOps
does so with Services. Then all are ordered away, whatever becomes of one of them: an admission
webhook without endpoints refuses one, and must not save the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

from services.k8s_worker.backend import Unanswered
from services.k8s_worker.kubernetes_connection import KubernetesConnection, Page
from services.k8s_worker.kubernetes_objects import Anything, ShownPod, ShownService, ShownVolume
from shared.runtime.deadline import Deadline

T = TypeVar("T")
#: The quota's name; whoever finds it in a namespace knows why nothing can be made there.
QUOTA = "colobus-draining"
_NOTHING_NEW = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": QUOTA},
    "spec": {"hard": {"persistentvolumeclaims": "0", "services.loadbalancers": "0"}},
}
#: How many calls are under way to one API server.
_AT_ONCE = 8


async def drain(connection: KubernetesConnection, seconds: float) -> list[str]:
    """Order the end of all that within so many seconds; return the names of what is still there.

    A claim stays while a pod uses it (pvc-protection), so these pods go, too. A volume goes with
    its claim where its own policy says so. Raises `Unanswered` when it can't be known what is
    there; what it refuses, or has no time for, is still there.
    """
    deadline = Deadline.after(seconds)
    async with connection.within(seconds):
        services = await connection.all_of("/api/v1/services", Page[ShownService])
        claims = await connection.all_of("/api/v1/persistentvolumeclaims", Page[Anything])
        volumes = await connection.all_of("/api/v1/persistentvolumes", Page[ShownVolume])
        balancers = [one for one in services if one.spec and one.spec.type == "LoadBalancer"]
        pods = await _users_of_claims(connection) if claims else []
    with suppress(TimeoutError):  # the next try goes on
        async with asyncio.timeout(deadline.remaining()):
            await _order_away(connection, balancers, claims, pods)
    going = [
        one.metadata.name
        for one in volumes
        if one.spec and one.spec.persistent_volume_reclaim_policy == "Delete"
    ]
    return [
        *(_name("Service", one) for one in balancers),
        *(_name("PersistentVolumeClaim", one) for one in claims),
        *(f"PersistentVolume {name}" for name in going),
    ]


async def _users_of_claims(connection: KubernetesConnection) -> list[ShownPod]:
    pods = await connection.all_of("/api/v1/pods", Page[ShownPod])
    return [
        pod
        for pod in pods
        if any(
            volume.persistent_volume_claim is not None or volume.ephemeral is not None
            for volume in (pod.spec and pod.spec.volumes) or ()
        )
    ]


async def _order_away(
    connection: KubernetesConnection,
    balancers: Sequence[Anything],
    claims: Sequence[Anything],
    pods: Sequence[Anything],
) -> None:
    """All of them, whatever becomes of one: what is refused is looked at again by the next try."""

    async def forbid(place: str) -> None:
        path = f"/api/v1/namespaces/{place}/resourcequotas"
        await connection.post(path, _NOTHING_NEW, dict)  # 409: it is there

    async def delete(of: tuple[str, Anything]) -> None:
        kind, one = of[0], of[1].metadata
        path = f"/api/v1/namespaces/{one.namespace}/{kind}/{one.name}"
        await connection.delete(path, dict)  # 404: it has gone

    all_of_them = [
        *(("services", one) for one in balancers),
        *(("persistentvolumeclaims", one) for one in claims),
        *(("pods", one) for one in pods),
    ]
    await _each(forbid, sorted({_place(one) for one in [*balancers, *claims]}))
    await _each(delete, [of for of in all_of_them if of[1].metadata.deletion_timestamp is None])


async def _each(do: Callable[[T], Awaitable[None]], things: Iterable[T]) -> None:
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def one(thing: T) -> None:
        async with at_once:
            with suppress(Unanswered):
                await do(thing)

    await asyncio.gather(*(one(thing) for thing in things))


def _place(one: Anything) -> str:
    return one.metadata.namespace or ""


def _name(kind: str, one: Anything) -> str:
    return f"{kind} {_place(one)}/{one.metadata.name}"
