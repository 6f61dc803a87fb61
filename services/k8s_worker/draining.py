"""What a cluster has outside of itself goes before it: else nobody would be left to remove it.

Load balancers and volumes are made by controllers inside the cluster, and bear none of our marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from services.k8s_worker.backend import Cluster, Project, Unanswered
from services.k8s_worker.lookout import Lookout
from services.k8s_worker.metrics import LEFT_BEHIND
from shared.contract.messages import DeprovisionCluster
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import TemporaryError

#: What Magnum says of a cluster whose API server may answer.
LIVING = frozenset(
    {
        *("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_FAILED", "UPDATE_IN_PROGRESS"),
        *("RESUME_COMPLETE", "RESTORE_COMPLETE", "CHECK_COMPLETE", "ROLLBACK_COMPLETE"),
    }
)
#: So long it is waited for, in seconds, before the cluster goes all the same; and for an API
#: server that does not answer.
DRAIN_SECONDS, SILENT_SECONDS = 120.0, 15.0
#: How long one try may take, in seconds.
SECONDS = 60.0
#: How many things are named.
_NAMED = 10

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
    its way.
    """
    if not order.drain or cluster.status not in LIVING or not cluster.api_address:
        return []
    try:
        left = await lookout.drain(project, cluster, deadline.remaining(at_most=SECONDS))
    except Unanswered as error:
        if not _over(order.silent_since, SILENT_SECONDS):
            detail = f"Load balancers and volumes are to go before the cluster. {error}"
            raise TemporaryError(detail, reason=Reason.CLUSTER_NOT_READY) from error
        return _given_up(project, cluster, [f"whatever it had: {error}"])
    if left and not _over(order.draining_since, DRAIN_SECONDS):
        raise TemporaryError(f"Going before the cluster: {_words(left)}.", reason=Reason.IN_USE)
    return _given_up(project, cluster, left) if left else []


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
