"""What a cloud's Magnum holds of this installation, tenant by tenant.

What a cluster is made of is Magnum's to keep and to remove: only clusters are named.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import structlog

from services.k8s_worker.backend import Backend, Cluster, Project
from services.k8s_worker.kit import CLUSTER, Kit
from shared.contract.messages import Holding, TakeCensus
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import TemporaryError
from shared.runtime.tenants import Tenants
from shared.worker.census import census_taken
from shared.worker.command import Command, Observation

_log = structlog.get_logger(__name__)
#: How long a census may go on once it has started, in seconds; ``not_after`` is shorter: it only
#: says until when it is of use to start.
LIFE = 120.0
#: How often a project is asked whose clusters can't be listed just now, and the seconds between.
TRIES, PAUSE = 10, 1.0


async def answer_census(
    backend: Backend, kit: Kit, tenants: Tenants, command: Command[TakeCensus]
) -> list[Observation]:
    """Return the census in parts, all of them; raises when Magnum could not be asked.

    A project whose list stays broken is left out, and named: it must not keep the others' orphans
    alive.
    """
    place = command.message.place
    # Before the first question: what is listed was there then or later.
    taken_at = datetime.now(UTC)
    deadline = Deadline.after(LIFE)
    projects = [
        backend.project(place, tenant.name, deadline)
        for tenant in tenants
        if place in tenant.projects
    ]
    listed = {project.tenant: await _clusters(project, deadline) for project in projects}
    broken = {tenant: why for tenant, why in listed.items() if isinstance(why, TemporaryError)}
    for tenant, why in broken.items():
        words = str(why)
        _log.warning("a project's clusters can't be listed", place=place, tenant=tenant, why=words)
    holdings = [
        Holding(
            what=CLUSTER,
            id=cluster.id,
            place=place,
            tenant=tenant,
            resource_id=owner,
            name=cluster.name,
            status=cluster.status,
        )
        for tenant, clusters in listed.items()
        if not isinstance(clusters, TemporaryError)
        for cluster in clusters
        if (owner := kit.owner(cluster)) is not None
    ]
    return census_taken(command, taken_at, holdings, tuple(broken))


async def _clusters(project: Project, deadline: Deadline) -> list[Cluster] | TemporaryError:
    """The list fails while a cluster begins or ends: somewhere one does. Else why it stays so."""
    tries = 0
    while True:
        try:
            return await project.clusters()
        except TemporaryError as error:
            tries += 1
            if error.reason != Reason.BACKEND_REFUSED:
                raise
            if tries == TRIES:
                return error
        await asyncio.sleep(deadline.remaining(at_most=PAUSE))
