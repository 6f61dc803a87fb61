"""What a cluster has outside of itself goes before it: else nobody would be left to remove it.

Load balancers and volumes are made by controllers inside the cluster, and bear none of our marks.
"""

from __future__ import annotations

import structlog

from services.k8s_worker.backend import Cluster, Project, Unanswered
from services.k8s_worker.lookout import Lookout
from services.k8s_worker.metrics import LEFT_BEHIND
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
#: So often it is tried before the cluster goes all the same, each time after the scheduler's pauses
#: (1, 2, 4, 8 and then 15 s): two minutes, and fifteen seconds where nobody answers.
TRIES, UNANSWERED_TRIES = 11, 4
#: How long one try may take, in seconds.
SECONDS = 60.0
#: How many things are named.
_NAMED = 10

_log = structlog.get_logger(__name__)


async def drained(
    project: Project, lookout: Lookout, cluster: Cluster, tries: int | None, deadline: Deadline
) -> list[str]:
    """Order the end of all that; return what would not go, [] in the usual case.

    ``tries``: how often that was done in vain; None: the cluster never lived. Raises
    `TemporaryError` (in_use) while it is on its way.
    """
    if tries is None or cluster.status not in LIVING or not cluster.api_address:
        return []
    try:
        left = await lookout.drain(project, cluster, deadline.remaining(at_most=SECONDS))
    except Unanswered as error:
        if tries < UNANSWERED_TRIES:
            detail = f"Load balancers and volumes are to go before the cluster. {error}"
            raise TemporaryError(detail, reason=Reason.CLUSTER_NOT_READY) from error
        return _given_up(project, cluster, [f"whatever it had: {error}"])
    if left and tries < TRIES:
        detail = f"Going before the cluster: {', '.join(left[:_NAMED])}."
        raise TemporaryError(detail, reason=Reason.IN_USE)
    return _given_up(project, cluster, left) if left else []


def _given_up(project: Project, cluster: Cluster, left: list[str]) -> list[str]:
    """The cluster goes all the same, and it is said what may be left of it."""
    _log.warning("a cluster goes before what it had", cluster=cluster.id, left=left[:_NAMED])
    LEFT_BEHIND.labels(project.cloud).inc()
    return left
