"""Looking at clusters, each through a connection of its own that is kept between looks.

The certificate for it is made by Magnum when first needed, lives in this process' memory, and is
made anew before it ends or when it isn't taken any more (the cluster's authority was replaced).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from services.k8s_worker.backend import Access, ApiServer, Cluster, Look, Project, Unanswered
from services.k8s_worker.certificates import new_access
from shared.runtime.locks import KeyedLocks

T = TypeVar("T")
#: Who we are in the clusters' audit logs.
WHO = "colobus"
#: So long before its end a certificate is replaced.
AHEAD = timedelta(hours=1)
#: How many connections are kept; the longest unused ones go first.
MOST = 500


@dataclass(frozen=True)
class _Kept:
    access: Access
    server: ApiServer


class Lookout:
    """The API servers that were looked at. ``connect`` opens a connection."""

    def __init__(self, connect: Callable[[Access], ApiServer], most: int = MOST) -> None:
        self._connect = connect
        self._most = most
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._locks = KeyedLocks()

    async def look(self, project: Project, cluster: Cluster) -> Look:
        """Return what the API server says; raises `Unanswered`, or what Magnum's signing raises."""
        return await self.ask(project, cluster, lambda server: server.look())

    async def drain(self, project: Project, cluster: Cluster, seconds: float) -> list[str]:
        """Order the end of what outlives the cluster; return what is still there. Raises alike."""
        return await self.ask(project, cluster, lambda server: server.drain(seconds))

    async def ask(
        self, project: Project, cluster: Cluster, call: Callable[[ApiServer], Awaitable[T]]
    ) -> T:
        """Return what the API server says to ``call``; raises alike."""
        async with self._locks.hold(cluster.id):
            server = await self._server(project, cluster)
        try:  # side by side: who looks at a dead one must not wait for all those before
            return await call(server)
        except Unanswered as error:
            kept = self._kept.get(cluster.id)
            if error.refused and kept is not None and kept.server is server:
                await self.forget(cluster.id)
            raise

    async def _server(self, project: Project, cluster: Cluster) -> ApiServer:
        kept = self._kept.get(cluster.id)
        if kept is not None and not _is_stale(kept.access, cluster):
            self._kept.move_to_end(cluster.id)
            return kept.server
        await self.forget(cluster.id)
        access = await new_access(project, cluster, WHO)
        self._kept[cluster.id] = made = _Kept(access, self._connect(access))
        while len(self._kept) > self._most:
            await self.forget(next(iter(self._kept)))
        return made.server

    async def forget(self, cluster_id: str) -> None:
        """Close the connection to a cluster, if there is one."""
        kept = self._kept.pop(cluster_id, None)
        if kept is not None:
            await kept.server.close()

    async def close(self) -> None:
        """Close all connections."""
        for cluster_id in list(self._kept):
            await self.forget(cluster_id)


def _is_stale(access: Access, cluster: Cluster) -> bool:
    return access.address != cluster.api_address or access.expires_at - AHEAD < datetime.now(UTC)
