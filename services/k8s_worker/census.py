"""What a cloud's Magnum holds of this installation, tenant by tenant.

What a cluster is made of is Magnum's to keep and to remove: only clusters are named.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from services.k8s_worker.backend import Backend, Cluster, Project
from services.k8s_worker.provisioner import CLUSTER, Kit
from shared.contract.messages import Holding, TakeCensus
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import TemporaryError
from shared.runtime.tenants import Tenants
from shared.worker.census import census_taken
from shared.worker.command import Command, Observation

#: How long a census may go on once it has started, in seconds; ``not_after`` is shorter: it only
#: says until when it is of use to start.
LIFE = 120.0
#: How often a project is asked whose clusters can't be listed just now, and the seconds between.
TRIES, PAUSE = 10, 1.0


async def answer_census(
    backend: Backend, kit: Kit, tenants: Tenants, command: Command[TakeCensus]
) -> list[Observation]:
    """Return the census in parts, all of them; raises when something could not be asked."""
    place = command.message.place
    # Before the first question: what is listed was there then or later.
    taken_at = datetime.now(UTC)
    deadline = Deadline.after(LIFE)
    projects = [
        backend.project(place, tenant.name, deadline)
        for tenant in tenants
        if place in tenant.projects
    ]
    holdings = [
        Holding(
            what=CLUSTER,
            id=cluster.id,
            place=place,
            tenant=project.tenant,
            resource_id=owner,
            name=cluster.name,
            status=cluster.status,
        )
        for project in projects
        for cluster in await _clusters(project, deadline)
        if (owner := kit.owner(cluster)) is not None
    ]
    return census_taken(command, taken_at, holdings)


async def _clusters(project: Project, deadline: Deadline) -> list[Cluster]:
    """The list fails while a cluster begins or ends: somewhere one often does."""
    for _ in range(TRIES - 1):
        try:
            return await project.clusters()
        except TemporaryError as error:
            if error.reason != Reason.BACKEND_REFUSED:
                raise
        await asyncio.sleep(deadline.remaining(at_most=PAUSE))
    return await project.clusters()
