"""Looks at all apps of a cluster, one round at a time.

Whoever asks is told what is known by then, and never waits long: a round goes on by itself, and
what it finds later is told to who asks next. All apps of a cluster share its fate: where it does
not answer to the first look, none of the others waits for it, too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from services.k8s_worker.backend import Cluster, Project
from services.k8s_worker.looking import SHORT, Places, Silences
from shared.contract.messages import AppInspectionFailed, AppObserved

#: How long is waited for a round, in seconds.
PATIENCE = 3.0
#: How many looks are under way at one cluster.
_AT_ONCE = 4
Seen = AppObserved | AppInspectionFailed
Look = Callable[[str], Awaitable[Seen]]


@dataclass(frozen=True)
class _Round:
    """``found`` is what nobody has been told yet."""

    task: asyncio.Task[None]
    found: dict[str, Seen] = field(default_factory=dict)

    def told(self, apps: Sequence[str]) -> dict[str, Seen]:
        """Take what it has found of these; each is told once. Raises what has ended the round."""
        if self.task.done():
            self.task.result()
        return {app: self.found.pop(app) for app in apps if app in self.found}


class AppRounds:
    """One round for each cluster that is looked at."""

    def __init__(self) -> None:
        self._rounds: dict[str, _Round] = {}
        self._silences = Silences()
        self._places = Places()

    async def look(
        self, project: Project, cluster: Cluster, apps: Sequence[str], look: Look
    ) -> Mapping[str, Seen]:
        """Return what is known of these by now; of those that are missing nothing is."""
        told: dict[str, Seen] = {}
        current = self._rounds.get(cluster.id)
        if current is not None and current.task.done():
            told = self._rounds.pop(cluster.id).told(apps)
            current = None
        if current is None:
            if self._silences.rests(cluster.id):
                return told
            current = self._begin(project, cluster.id, apps, look)
        patience = SHORT if cluster.id in self._silences else PATIENCE
        await asyncio.wait({current.task}, timeout=patience)
        return {**told, **current.told(apps)}

    def _begin(self, project: Project, cluster_id: str, apps: Sequence[str], look: Look) -> _Round:
        found: dict[str, Seen] = {}
        task = asyncio.create_task(self._go_round(project, cluster_id, apps, look, found))
        made = self._rounds[cluster_id] = _Round(task, found)
        return made

    async def _go_round(
        self,
        project: Project,
        cluster_id: str,
        apps: Sequence[str],
        look: Look,
        found: dict[str, Seen],
    ) -> None:
        here = asyncio.Semaphore(_AT_ONCE)
        lost = False

        async def one(app: str) -> Seen:
            nonlocal lost
            async with here, self._places.hold(project):
                begun = time.monotonic()
                seen = found[app] = await look(app)
                if _is_unanswered(seen):
                    lost = True
                    self._silences.note(cluster_id, time.monotonic() - begun)
            return seen

        first = await one(apps[0])
        if isinstance(first, AppObserved) and _is_unanswered(first):
            found.update((app, msgspec.structs.replace(first)) for app in apps)
            return
        await asyncio.gather(*(one(app) for app in apps[1:]))
        if not lost:
            self._silences.over(cluster_id)

    async def close(self) -> None:
        """End all rounds."""
        under_way = [one.task for one in self._rounds.values()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _is_unanswered(seen: Seen) -> bool:
    return isinstance(seen, AppObserved) and seen.unanswered is not None
