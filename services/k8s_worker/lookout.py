"""Looking at clusters, each through a connection of its own that is kept between looks.

The certificate for it is made by Magnum when first needed, lives in this process' memory, and is
made anew before it ends or when it isn't taken any more (the cluster's authority was replaced).
No look holds up those at others for long: so many are under way, and one that did not answer the
last time is given a short time to, while its look goes on for whoever asks next.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.k8s_worker.backend import Access, ApiServer, Cluster, Look, Project, Unanswered
from services.k8s_worker.certificates import new_access
from services.k8s_worker.checks import checks_of
from shared.runtime.locks import KeyedLocks

#: Who we are in the clusters' audit logs.
WHO = "colobus"
#: So long before its end a certificate is replaced.
AHEAD = timedelta(hours=1)
#: A certificate that is not taken is replaced when it is so old: signing costs Magnum two calls.
YOUNG = timedelta(minutes=1)
#: How many connections are kept; the longest unused ones go first.
MOST = 500
#: How many looks are under way.
AT_ONCE = 50
#: How long is waited for one that did not answer the last time, in seconds.
SHORT = 3.0


@dataclass(eq=False)
class _Kept:
    access: Access
    server: ApiServer
    made_at: datetime
    users: int = 0
    dropped: bool = False


@dataclass(frozen=True)
class _UnderWay:
    task: asyncio.Task[Look]
    begun_at: datetime


class Lookout:
    """The API servers that were looked at. ``connect`` opens a connection."""

    def __init__(self, connect: Callable[[Access], ApiServer], most: int = MOST) -> None:
        self._connect = connect
        self._most = most
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._locks = KeyedLocks()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._looks: dict[str, _UnderWay] = {}
        self._silent: set[str] = set()

    async def look(self, project: Project, cluster: Cluster) -> tuple[datetime, Look]:
        """Return what the API server says, and since when that may have been so.

        Raises `Unanswered`, or what Magnum's signing raises.
        """
        look = self._looks.get(cluster.id)
        if look is None:
            task = asyncio.create_task(self._look(project, cluster))
            look = self._looks[cluster.id] = _UnderWay(task, datetime.now(UTC))
            task.add_done_callback(lambda _: self._ended(cluster.id))
        patience = SHORT if cluster.id in self._silent else None
        done, _ = await asyncio.wait({look.task}, timeout=patience)
        if not done:
            raise Unanswered(f"The API server at {cluster.api_address} does not answer in time.")
        return look.begun_at, look.task.result()

    async def _look(self, project: Project, cluster: Cluster) -> Look:
        async with self._places, self._server(project, cluster) as server:
            try:
                seen = await server.look(checks_of(cluster.labels))
            except Unanswered:
                self._silent.add(cluster.id)
                raise
            self._silent.discard(cluster.id)
            return seen

    def _ended(self, cluster_id: str) -> None:
        task = self._looks.pop(cluster_id).task
        if not task.cancelled():
            task.exception()  # nobody may be waiting any more

    async def drain(self, project: Project, cluster: Cluster, seconds: float) -> list[str]:
        """Order the end of what outlives the cluster; return what is still there. Raises alike."""
        async with self._server(project, cluster) as server:
            return await server.drain(seconds)

    @asynccontextmanager
    async def _server(self, project: Project, cluster: Cluster) -> AsyncIterator[ApiServer]:
        """Hold a connection, which nobody closes meanwhile; one that is not taken goes."""
        async with self._locks.hold(cluster.id):
            kept = await self._opened(project, cluster)
            kept.users += 1
        try:  # side by side: who looks at a dead one must not wait for all those before
            yield kept.server
        except Unanswered as error:
            old = datetime.now(UTC) - kept.made_at > YOUNG
            if error.refused and old and self._kept.get(cluster.id) is kept:
                await self.forget(cluster.id)
            raise
        finally:
            kept.users -= 1
            if kept.dropped and not kept.users:
                await kept.server.close()

    async def _opened(self, project: Project, cluster: Cluster) -> _Kept:
        kept = self._kept.get(cluster.id)
        if kept is not None and not _is_stale(kept.access, cluster):
            self._kept.move_to_end(cluster.id)
            return kept
        await self.forget(cluster.id)
        access = await new_access(project, cluster, WHO)
        made = _Kept(access, self._connect(access), datetime.now(UTC))
        self._kept[cluster.id] = made
        while len(self._kept) > self._most:
            await self.forget(next(iter(self._kept)))
        return made

    async def forget(self, cluster_id: str) -> None:
        """Close the connection to a cluster, if there is one, when nobody uses it any more."""
        self._silent.discard(cluster_id)
        kept = self._kept.pop(cluster_id, None)
        if kept is not None:
            kept.dropped = True
            if not kept.users:
                await kept.server.close()

    async def close(self) -> None:
        """Close all connections; looks that are under way end."""
        under_way = [look.task for look in self._looks.values()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for cluster_id in list(self._kept):
            await self.forget(cluster_id)


def _is_stale(access: Access, cluster: Cluster) -> bool:
    return access.address != cluster.api_address or access.expires_at - AHEAD < datetime.now(UTC)
