"""A tenant's clusters, found by their resource: there, gone, or such as Magnum can't show.

One list shows all of a project. But one cluster without groups of nodes, or without its template,
breaks that list, perhaps for good. Then each is asked for by itself: by its id, and by its name,
which Magnum takes for one. Of the broken one, and of two of one name, it says that it can't show
them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.k8s_worker.backend import Cluster, Project
from services.k8s_worker.kit import Kit
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.duplicates import oldest_first

#: How many are asked for by themselves at once: they share threads with all that is ordered.
AT_ONCE = 4


@dataclass(frozen=True)
class Clusters:
    """What one look at a project's list showed: ours by their resource, or why it is broken.

    ``asked_at`` is before the question, not after the answer: what changes in between is not seen.
    """

    project: Project
    kit: Kit
    asked_at: datetime
    listed: Mapping[str, list[Cluster]]
    fault: TemporaryError | None = None
    asking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def of(self, resource_id: str, cluster_id: str | None = None) -> list[Cluster]:
        """Return a resource's clusters, the oldest first; one may be known by its id.

        An empty list is proof where the one that is known was asked for; a new one may not be in
        Magnum's list yet. Raises `TemporaryError` where nothing can be said: Magnum can't show it,
        or can't list and shows somebody else's, behind which one of ours may be.
        """
        if resource_id in self.listed:
            return self.listed[resource_id]
        names = [] if cluster_id is None else [cluster_id]
        if self.fault is not None:
            names.append(resource_id)
        async with self.asking:
            return await self._by_itself(resource_id, names)

    async def _by_itself(self, resource_id: str, names: Sequence[str]) -> list[Cluster]:
        strangers = []
        for name in names:
            shown = await self.project.cluster(name)
            if shown is not None and self.kit.owns(shown, resource_id):
                return [shown]
            strangers += [] if shown is None else [shown.id]
        if strangers and self.fault is not None:
            detail = f"For {resource_id} Magnum shows somebody else's {strangers[0]}: {self.fault}"
            raise TemporaryError(detail, reason=Reason.BACKEND_REFUSED) from self.fault
        return []


async def look(project: Project, kit: Kit) -> Clusters:
    """Ask for the list of a project; raises `TemporaryError` when Magnum can't be asked."""
    asked_at = datetime.now(UTC)
    try:
        found = await project.clusters()
    except TemporaryError as error:
        if error.reason != Reason.BACKEND_REFUSED:
            raise
        return Clusters(project, kit, asked_at, {}, error)
    listed: defaultdict[str, list[Cluster]] = defaultdict(list)
    for cluster in found:
        if (owner := kit.owner(cluster)) is not None:
            listed[owner].append(cluster)
    ordered = {owner: oldest_first(own) for owner, own in listed.items()}
    return Clusters(project, kit, asked_at, ordered)


async def clusters_of(
    project: Project, kit: Kit, resource_id: str, cluster_id: str | None = None
) -> list[Cluster]:
    """Return the clusters of one resource (`Clusters.of`)."""
    return await (await look(project, kit)).of(resource_id, cluster_id)
