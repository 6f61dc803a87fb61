"""Looking at clusters, each through a connection of its own that is kept between looks.

The certificate for it is made by Magnum while the cluster is being made or when first needed, lives
in this process' memory, and is made anew before it ends or when it isn't taken any more (the
cluster's authority was replaced).
No look holds up those at others for long: so many are under way, and one that did not answer the
last time is given a short time to, and then left alone for a while. Its look goes on meanwhile, and
what comes of it is told to whoever asks next.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from services.k8s_worker.backend import Access, ApiServer, Cluster, Look, Project, Unanswered
from services.k8s_worker.certificates import access_or_silence
from services.k8s_worker.checks import checks_of
from services.k8s_worker.looking import SHORT, NotYet, Places, Silences
from shared.runtime.locks import KeyedLocks

T = TypeVar("T")
#: Who we are in the clusters' audit logs.
WHO = "colobus"
#: So long before its end a certificate is replaced.
AHEAD = timedelta(hours=1)
#: A certificate that is not taken is replaced when it is so old: signing costs Magnum two calls.
YOUNG = timedelta(minutes=1)
#: How often it is tried to prepare for a cluster in the making.
TRIES = 3
#: For how many at once.
SIGNED_AT_ONCE = 3
#: How many connections are kept; the longest unused ones go first.
MOST = 500
#: So long what came of a look is worth telling, in seconds.
FRESH = timedelta(seconds=90)


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

    @property
    def stale(self) -> bool:
        """It has ended, and nobody has asked for so long that it tells nothing any more."""
        return self.task.done() and datetime.now(UTC) - self.begun_at > FRESH


@dataclass(frozen=True)
class _Prepared:
    """Access to a cluster in the making, as yet without an address."""

    task: asyncio.Task[Access]
    tries: int

    @property
    def failed(self) -> bool:
        """It was not to be had, as by a Magnum that has not made the cluster's authority yet."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)


class Lookout:
    """The API servers that were looked at.

    ``connect`` opens a connection, and ``most`` are kept; ``clock`` tells seconds.
    """

    def __init__(
        self,
        connect: Callable[[Access], ApiServer],
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._most = most
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._prepared: OrderedDict[str, _Prepared] = OrderedDict()
        self._signing = asyncio.Semaphore(SIGNED_AT_ONCE)
        self._locks = KeyedLocks()
        self._places = Places()
        self._looks: dict[str, _UnderWay] = {}
        self._silences = Silences(clock)

    def prepare(self, project: Project, cluster: Cluster) -> None:
        """Begin to have the certificate of a cluster in the making signed: its first look is short.

        Nobody waits for that. After `TRIES` it is left to the first look, which says what is wrong.
        """
        known = self._prepared.get(cluster.id)
        tries = 0 if known is None else known.tries
        if cluster.id in self._kept or tries == TRIES or (known is not None and not known.failed):
            return
        task = asyncio.create_task(self._signed(project, cluster))
        task.add_done_callback(_noted)
        self._prepared[cluster.id] = _Prepared(task, tries + 1)
        while len(self._prepared) > self._most:
            self._prepared.popitem(last=False)[1].task.cancel()

    async def _signed(self, project: Project, cluster: Cluster) -> Access:
        """Few at once: commands need the same threads, and signing may take long."""
        async with self._signing:
            return await access_or_silence(project, cluster, WHO)

    async def look(self, project: Project, cluster: Cluster) -> tuple[datetime, Look]:
        """Return what the API server says, and since when that may have been so.

        Raises `Unanswered`, once for each time that it did not answer, or that Magnum gave no
        certificate for it; `NotYet` while that is not known; or the fault of a Magnum that is away.
        """
        look = self._looks.get(cluster.id)
        if look is None or look.stale:
            if self._silences.rests(cluster.id):
                raise NotYet
            task = asyncio.create_task(self._look(project, cluster))
            task.add_done_callback(_noted)
            look = self._looks[cluster.id] = _UnderWay(task, datetime.now(UTC))
        patience = SHORT if cluster.id in self._silences else None
        done, _ = await asyncio.wait({look.task}, timeout=patience)
        if not done:
            raise NotYet
        first = self._looks.get(cluster.id) is look
        if first:
            del self._looks[cluster.id]
        elif not look.task.cancelled() and look.task.exception() is not None:
            raise NotYet  # it has been told: two of one silence would seem to be two silences
        return look.begun_at, look.task.result()

    async def _look(self, project: Project, cluster: Cluster) -> Look:
        async with self._places.hold(project), self._server(project, cluster) as server:
            begun = self._clock()
            try:
                seen = await server.look(checks_of(cluster.labels))
            except Unanswered:
                self._silences.note(cluster.id, self._clock() - begun)
                raise
            self._silences.over(cluster.id)
            return seen

    async def drain(self, project: Project, cluster: Cluster, seconds: float) -> list[str]:
        """Order the end of what outlives the cluster; return what is still there. Raises alike."""
        async with self._server(project, cluster) as server:
            return await server.drain(seconds)

    async def ask(
        self, project: Project, cluster: Cluster, call: Callable[[ApiServer], Awaitable[T]]
    ) -> T:
        """Return what the API server says to ``call``; raises alike."""
        async with self._server(project, cluster) as server:
            return await call(server)

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
                await self._drop(cluster.id)
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
        await self._drop(cluster.id)
        access = await self._signed_before(cluster)
        if access is None or _is_stale(access, cluster):
            access = await access_or_silence(project, cluster, WHO)
        made = _Kept(access, self._connect(access), datetime.now(UTC))
        self._kept[cluster.id] = made
        while len(self._kept) > self._most:
            await self._drop(next(iter(self._kept)))
        return made

    async def _signed_before(self, cluster: Cluster) -> Access | None:
        """What was prepared, if it could be: it had no address yet."""
        prepared = self._prepared.pop(cluster.id, None)
        if prepared is None:
            return None
        await asyncio.wait({prepared.task})
        if prepared.failed:
            return None
        return replace(prepared.task.result(), address=cluster.api_address)

    async def forget(self, cluster_id: str) -> None:
        """The cluster is not there any more: nor is anything that was known of it."""
        self._silences.over(cluster_id)
        self._looks.pop(cluster_id, None)
        prepared = self._prepared.pop(cluster_id, None)
        if prepared is not None:
            prepared.task.cancel()
        await self._drop(cluster_id)

    async def _drop(self, cluster_id: str) -> None:
        """Close the connection to a cluster, if there is one, when nobody uses it any more."""
        kept = self._kept.pop(cluster_id, None)
        if kept is not None:
            kept.dropped = True
            if not kept.users:
                await kept.server.close()

    async def close(self) -> None:
        """Close all connections; looks that are under way end."""
        under_way: list[asyncio.Task[Any]] = [look.task for look in self._looks.values()]
        under_way += [one.task for one in self._prepared.values()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for cluster_id in list(self._kept):
            await self._drop(cluster_id)


def _noted(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # nobody may be waiting any more


def _is_stale(access: Access, cluster: Cluster) -> bool:
    return access.address != cluster.api_address or access.expires_at - AHEAD < datetime.now(UTC)
