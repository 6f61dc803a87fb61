"""What a cluster has outside of itself goes before it: else nobody would be left to remove it.

Load balancers and volumes are made by controllers inside the cluster, and bear none of our marks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from services.k8s_worker.app_backend import INSTALLATION
from services.k8s_worker.backend import Cluster, Project, Unanswered
from services.k8s_worker.lookout import Lookout
from services.k8s_worker.metrics import LEFT_BEHIND
from shared.contract.messages import DeprovisionCluster
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError, TemporaryError

#: What Magnum says of a cluster whose API server may answer.
LIVING = frozenset(
    {
        *("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_FAILED", "UPDATE_IN_PROGRESS"),
        *("RESUME_COMPLETE", "RESTORE_COMPLETE", "CHECK_COMPLETE", "ROLLBACK_COMPLETE"),
    }
)
#: So long it is waited for, in seconds, before the cluster goes all the same; and for an API
#: server that does not answer, as one that reboots.
DRAIN_SECONDS, SILENT_SECONDS = 120.0, 60.0
#: How long one try may take, in seconds.
SECONDS = 60.0
#: How soon apps are looked for again, in seconds.
_RETRY_AFTER = 5.0
#: How many things are named.
_NAMED = 10
#: The share of the time that apps have, and how many of them are ordered away side by side.
_SHARE_OF_APPS, _AT_ONCE = 1 / 3, 8
#: What is left of a cluster that has gone before anybody told.
UNTOLD = "whatever it had: it went, and nobody has told what would not go before it"
#: What is left where apps could not be listed.
_UNKNOWN = "apps, which it does not name"

_log = structlog.get_logger(__name__)


async def drained(
    project: Project,
    lookout: Lookout,
    cluster: Cluster,
    order: DeprovisionCluster,
    deadline: Deadline,
) -> list[str]:
    """Order the end of all that; return what would not go, [] in the usual case.

    Only what draining itself has said before counts against it, not what else has held the order
    up. Raises `TemporaryError` (in_use, or cluster_not_ready where nobody answers) while it is on
    its way; or has_apps, while apps live on it: these are waited for, unless the end is forced.
    """
    if not order.drain:
        return []
    if order.apps and not order.force:  # whatever the cluster says, or doesn't
        raise _has_apps(cluster, order.apps)
    if cluster.status not in LIVING or not cluster.api_address:
        return []
    try:
        left = await _left(project, lookout, cluster, order, deadline)
    except Unanswered as error:
        if not _over(order.silent_since, SILENT_SECONDS):
            detail = f"Load balancers and volumes are to go before the cluster. {error}"
            raise TemporaryError(detail, reason=Reason.CLUSTER_NOT_READY) from error
        return _given_up(project, cluster, [_whatever(error)])
    if left and not _over(order.draining_since, DRAIN_SECONDS):
        raise TemporaryError(f"Going before the cluster: {_words(left)}.", reason=Reason.IN_USE)
    return _given_up(project, cluster, left) if left else []


async def left_by_another(
    project: Project,
    lookout: Lookout,
    cluster: Cluster,
    order: DeprovisionCluster,
    deadline: Deadline,
) -> list[str]:
    """Return what may be left of a cluster that is going already, [] in the usual case.

    Whoever has ordered that may have given up what would not go, and died before it was told. So
    where the time for it was over it is looked for again, as long as the API server lives.
    """
    if not given_up(order):
        return []
    order = msgspec.structs.replace(order, force=True)  # whoever lives there goes with it
    try:
        left = await _left(project, lookout, cluster, order, deadline)
    except (Unanswered, ColobusError) as error:
        left = [_whatever(error)]
    return _given_up(project, cluster, left) if left else []


def given_up(order: DeprovisionCluster) -> bool:
    """Tell whether the time for what goes before the cluster was over when it was ordered."""
    waited = _over(order.draining_since, DRAIN_SECONDS)
    return order.drain and (waited or _over(order.silent_since, SILENT_SECONDS))


async def _left(
    project: Project,
    lookout: Lookout,
    cluster: Cluster,
    order: DeprovisionCluster,
    deadline: Deadline,
) -> list[str]:
    """Order the end of all that goes first; return what is still there. Raises `Unanswered`."""
    budget = Deadline.after(deadline.remaining(at_most=SECONDS))
    apps = await _apps_left(project, lookout, cluster, order, budget.remaining() * _SHARE_OF_APPS)
    return [*apps, *await lookout.drain(project, cluster, budget.remaining())]


def _whatever(why: object) -> str:
    return f"whatever it had: {why}"


async def _apps_left(
    project: Project,
    lookout: Lookout,
    cluster: Cluster,
    order: DeprovisionCluster,
    seconds: float,
) -> list[str]:
    """Order the end of all apps that are found; return those that are still there.

    They are nobody's, or forced to go. What can't be had of them holds up nothing else: draining
    itself finds out whether the API server answers.
    """
    labels = {INSTALLATION: cluster.labels.get("colobus_installation", "")}
    left = [_UNKNOWN]
    with suppress(TimeoutError, Unanswered):
        async with asyncio.timeout(seconds):
            found = await lookout.ask(project, cluster, lambda server: server.apps(labels))
            living = [app for app, going in found.items() if not going]
            if living and order.apps is None and not order.force:
                raise _has_apps(cluster, living)
            left = list(found)
            await _remove_all(project, lookout, cluster, living)
    return left


def _has_apps(cluster: Cluster, apps: Sequence[str]) -> TemporaryError:
    detail = f"{cluster.name} is in use: {_words(apps)}."
    return TemporaryError(detail, reason=Reason.HAS_APPS, retry_after=_RETRY_AFTER)


async def _remove_all(
    project: Project, lookout: Lookout, cluster: Cluster, apps: Sequence[str]
) -> None:
    """Each for itself: what is refused is still there, and the next try orders it again."""
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def remove(app: str) -> None:
        async with at_once:
            with suppress(Unanswered):
                await lookout.ask(project, cluster, lambda server: server.remove_app(app))

    await asyncio.gather(*(remove(app) for app in apps))


def _over(since: datetime | None, seconds: float) -> bool:
    return since is not None and datetime.now(UTC) - since >= timedelta(seconds=seconds)


def _words(left: Sequence[str]) -> str:
    more = len(left) - _NAMED
    return ", ".join(left[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _given_up(project: Project, cluster: Cluster, left: list[str]) -> list[str]:
    """The cluster goes all the same, and it is said what may be left of it."""
    _log.warning("a cluster goes before what it had", cluster=cluster.id, left=left[:_NAMED])
    LEFT_BEHIND.labels(project.cloud).inc()
    return left
