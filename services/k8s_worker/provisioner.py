"""A cluster made, found again, resized or deleted. Its name and labels follow from the resource.

Magnum has no unique names, and shows a cluster only some time after it was asked for one. So
whoever may not be the first looks, and lets what may still come appear before it makes another; if
there are two, the oldest stays.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from services.k8s_worker import templates
from services.k8s_worker.backend import CREATING, DELETING, Cluster, NewCluster, Project
from services.k8s_worker.draining import UNTOLD, drained, given_up, left_by_another
from services.k8s_worker.finding import clusters_of
from services.k8s_worker.kit import CLUSTER, WORKER, Kit
from services.k8s_worker.lookout import Lookout
from shared.contract.messages import (
    DeprovisionCluster,
    ProvisionCluster,
    RemoveOrphan,
    ResizeCluster,
)
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import OutcomeUnknown, TemporaryError
from shared.worker.command import Command
from shared.worker.duplicates import keep_first
from shared.worker.errors import NotFound, Refused

#: So long Magnum's conductor may be between a cluster's row and what its driver makes; after that
#: it has died over it.
BEGUN_WITHIN = timedelta(seconds=90)
#: How many things are named that a cluster has left behind.
MOST_LEFT = 100
#: How soon what another worker may have asked for is looked for again, in seconds.
AFTER_ANOTHER = 5.0
#: So long Magnum is given to show a new cluster, in seconds, and the pause between two looks.
SHOWN_WITHIN, PAUSE = 10.0, 0.2


async def provision_cluster(
    project: Project, kit: Kit, command: Command[ProvisionCluster]
) -> tuple[str, str]:
    """Return the ids of the cluster and its template, its making started when there is none yet."""
    if command.repeated:
        found = await _keep_one(project, kit, command.resource_id)
        if found is not None:
            return found.id, found.template_id
    if command.redelivered:
        detail = (
            "An earlier worker may have asked for the cluster just now; it is looked for again."
        )
        raise OutcomeUnknown(detail, retry_after=AFTER_ANOTHER)
    _let_appear(command.message.look_until)
    message = command.message
    chosen = await templates.choose(project, kit.recipes, kit.marks, kit.making, message)
    new = NewCluster(
        name=command.resource_id,
        template_id=chosen.template_id,
        node_count=message.node_count,
        master_count=chosen.master_count,
        labels=kit.labels(command.resource_id),
        flavor=chosen.flavor,
    )
    made = await _created(project, new, chosen)
    await _until_shown(project, made, command.deadline)
    if command.repeated:  # an earlier attempt may have come through meanwhile
        kept = await _keep_one(project, kit, command.resource_id)
        made = made if kept is None else kept.id
    return made, chosen.template_id


async def _created(project: Project, new: NewCluster, chosen: templates.Chosen) -> str:
    """Somebody may just have removed this template; another one is made then."""
    try:
        return await project.create_cluster(new)
    except NotFound as error:
        if not chosen.made or error.reason != Reason.TEMPLATE_NOT_FOUND:
            raise
        raise TemporaryError(str(error), reason=Reason.TEMPLATE_NOT_FOUND) from error


def _let_appear(until: datetime | None) -> None:
    """Make nothing while what was asked for before may still come: then there would be two."""
    left = (until - datetime.now(UTC)).total_seconds() if until else 0.0
    if left > 0:
        detail = "Magnum may still be at an earlier request for the cluster, which is looked for."
        raise TemporaryError(
            detail, reason=Reason.BACKEND_REFUSED, retry_after=min(left, AFTER_ANOTHER)
        )


async def _until_shown(project: Project, cluster_id: str, deadline: Deadline) -> None:
    """Wait a moment: what Magnum does not show yet it would not delete, either."""
    shown_by = Deadline.after(deadline.remaining(at_most=SHOWN_WITHIN))
    while not shown_by.expired:
        try:
            if await project.cluster(cluster_id) is not None:
                return
        except TemporaryError:
            pass
        await asyncio.sleep(PAUSE)


def _let_begin(*clusters: Cluster) -> None:
    """Delete nothing that Magnum has not begun: it would be made after all, and known to nobody.

    Its conductor writes the row, makes certificates, and then has the driver make the cluster; a
    deletion in between takes the row away (`magnum.conductor.handlers.cluster_conductor`). Raises
    `TemporaryError`.
    """
    for cluster in clusters:
        if cluster.begun or cluster.status != CREATING or not cluster.created_at:
            continue
        made = datetime.fromisoformat(cluster.created_at)
        age = datetime.now(UTC) - (made if made.tzinfo else made.replace(tzinfo=UTC))
        if abs(age) < BEGUN_WITHIN:
            detail = f"Magnum has not begun to make {cluster.id}; it is deleted as soon as it has."
            raise TemporaryError(detail, reason=Reason.BACKEND_REFUSED, retry_after=1)


async def _keep_one(project: Project, kit: Kit, resource_id: str) -> Cluster | None:
    """Return the resource's cluster, others removed; raises `TemporaryError` while it is going."""
    found = await clusters_of(project, kit, resource_id)
    if going := [one for one in found if one.status == DELETING]:
        for one in going:  # the conductor may have died over it
            await project.delete_cluster(one.id)
        detail = "An earlier cluster of this resource is still being removed."
        raise TemporaryError(detail, reason=Reason.BACKEND_REFUSED)
    _let_begin(*found[1:])
    return await keep_first(WORKER, CLUSTER, found, project.delete_cluster)


async def resize_cluster(project: Project, kit: Kit, command: Command[ResizeCluster]) -> None:
    """Start changing the number of workers, unless Magnum has that number already."""
    message = command.message
    found = await project.cluster(message.cluster_id)
    if found is None or not kit.owns(found, command.resource_id):
        detail = f"Magnum knows no cluster {message.cluster_id}."
        raise NotFound(detail, reason=Reason.REMOVED_EXTERNALLY)
    if found.node_count != message.node_count or found.status == "UPDATE_FAILED":
        try:
            await project.resize_cluster(found.id, message.node_count)
        except Refused as error:
            await _let_end(project, found.id, error)
            raise


async def _let_end(project: Project, cluster_id: str, refusal: Refused) -> None:
    """Magnum takes no order while it is at one before, which may have been given up here."""
    now = await project.cluster(cluster_id)
    if now is not None and now.status.endswith("_IN_PROGRESS"):
        detail = f"Magnum says {now.status}: {refusal}"
        raise TemporaryError(detail, reason=Reason.BACKEND_REFUSED) from refusal


async def deprovision_cluster(
    project: Project, kit: Kit, lookout: Lookout, command: Command[DeprovisionCluster]
) -> tuple[str, list[str]] | None:
    """Start deleting all clusters of the resource, drained; None when there is none.

    Returns an id, and what would not go before, also where an earlier worker started it and died
    before it told. Raises `TemporaryError` while that is on its way. What is going already is
    deleted again: Magnum's conductor may have died over it, or made it after all.
    """
    known = command.message.cluster_id
    found = await clusters_of(project, kit, command.resource_id, known)
    _let_begin(*found)  # before any is drained: nothing is left half done
    left: list[str] = []
    for one in found:
        left += await (left_by_another if one.status == DELETING else drained)(
            project, lookout, one, command.message, command.deadline
        )
        await project.delete_cluster(one.id)
    if found:
        return found[0].id, left[:MOST_LEFT]
    return (known, [UNTOLD]) if known is not None and given_up(command.message) else None


async def remove_orphan(project: Project, kit: Kit, order: RemoveOrphan) -> bool:
    """Remove the cluster, if it bears our marks alone; False while it is going."""
    if order.what != CLUSTER:
        raise Refused(f"A {order.what!r} is nothing that could be removed.")
    found = await project.cluster(order.object_id)
    if found is None:
        return True
    if not kit.owns(found, order.resource_id):
        detail = f"The cluster {found.id} does not bear the marks of {order.resource_id} alone."
        raise Refused(detail)
    _let_begin(found)
    return not await project.delete_cluster(found.id)
