"""Whether a cloud's own notifications can be relied on: earned and lost by evidence.

While they can, its open waits are inspected rarely. Evidence for them is a wait that one has ended;
against them, a wait that an inspection had to end. That a worker has lost its subscription counts
at once. All replicas go by the same rows; nothing here is locked unless something changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import structlog

from services.scheduler.ledger import Transaction
from services.scheduler.metrics import NOTIFICATIONS_TRUSTED, WAITS_ENDED
from services.scheduler.sight import is_told
from services.scheduler.state import ResourceState
from shared.contract.messages import Message

#: Where this is kept, a row for each cloud.
TABLE = "cloud_notifications"
#: A server that an inspection found running so soon after its launch would still have been told of.
_ON_THE_WAY = timedelta(seconds=3)
#: What missed a wait is not relied on again for so many times the interval of inspections.
_HOLD = 3

log = structlog.get_logger()


async def know(tx: Transaction, clouds: Iterable[str]) -> None:
    """Have a row for each cloud; nothing is trusted to begin with. Replicas begin at once."""
    await tx.executemany(
        "INSERT INTO cloud_notifications (cloud) VALUES ($1) ON CONFLICT DO NOTHING",
        [(cloud,) for cloud in sorted(clouds)],
    )


async def trusted(tx: Transaction) -> set[str]:
    """The clouds whose notifications are relied on now; also shown as a metric."""
    rows = await tx.fetch("SELECT cloud, trusted FROM cloud_notifications")
    for row in rows:
        NOTIFICATIONS_TRUSTED.labels(row["cloud"]).set(row["trusted"])
    return {row["cloud"] for row in rows if row["trusted"]}


async def time_for_all(tx: Transaction, cloud: str, seconds: float) -> bool:
    """Whether all open waits of a trusted cloud are to be looked at again; if so, they now are."""
    due = await tx.fetchval(
        "UPDATE cloud_notifications SET looked_at = now()"
        " WHERE cloud = $1 AND looked_at <= now() - $2::interval RETURNING true",
        cloud,
        timedelta(seconds=seconds),
    )
    return bool(due)


async def note_sight(
    tx: Transaction, before: ResourceState, after: ResourceState, seen: Message, interval: float
) -> None:
    """What an observation did is evidence; ``interval``: seconds between rare inspections.

    Call it last in a transaction: the cloud's row is locked after everything else.
    """
    ended = _waits(before) - _waits(after)
    if is_told(seen):
        if ended or _kept(after) - _kept(before):
            WAITS_ENDED.labels(before.place, "notified").inc()
            await _earn(tx, before.place)
    elif ended:
        WAITS_ENDED.labels(before.place, "inspected").inc()
        if any(_could_be_told(before, name, seen) for name in ended):
            hold = timedelta(seconds=_HOLD * interval)
            await _lose(tx, before.place, "an inspection had to end a wait", hold)


async def note_silence(tx: Transaction, cloud: str) -> None:
    """A worker has lost its subscription."""
    await _lose(tx, cloud, "a worker does not receive them", timedelta())


def _waits(state: ResourceState) -> set[str]:
    return {name for name, progress in state.progress.items() if progress.accepted}


def _kept(state: ResourceState) -> set[str]:
    return {name for name, progress in state.progress.items() if progress.early is not None}


def _could_be_told(before: ResourceState, name: str, seen: Any) -> bool:
    """Not what the cloud doesn't tell of (a port that comes up late), nor what just happened."""
    launched_at: datetime | None = getattr(seen, "launched_at", None)
    just_now = launched_at is not None and seen.observed_at - launched_at < _ON_THE_WAY
    return not before.progress[name].unproven and not just_now


async def _earn(tx: Transaction, cloud: str) -> None:
    earned = await tx.fetchval(
        "UPDATE cloud_notifications SET trusted = true, looked_at = now()"
        " WHERE cloud = $1 AND NOT trusted AND held_until <= now() RETURNING true",
        cloud,
    )
    if earned:
        NOTIFICATIONS_TRUSTED.labels(cloud).set(1)
        log.info("notifications are relied on", cloud=cloud)


async def _lose(tx: Transaction, cloud: str, why: str, hold: timedelta) -> None:
    lost = await tx.fetchval(
        "UPDATE cloud_notifications SET trusted = false, held_until = now() + $2::interval"
        " WHERE cloud = $1 AND trusted RETURNING true",
        cloud,
        hold,
    )
    if lost:
        NOTIFICATIONS_TRUSTED.labels(cloud).set(0)
        log.warning("notifications are not relied on any more", cloud=cloud, why=why)
