"""How the clouds have been doing: recent failures for placement, and rests (a circuit breaker).

A cloud that fails again and again, without making anything between, is rested: nothing new is
placed there for a while. Then one request tries it; that fails: a rest twice as long; it makes
something, or is refused in so many words: as before. Pure, but for the rows of ``cloud_failures``,
which all replicas share.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.scheduler.metrics import RESTS
from services.scheduler.placement import Rest
from services.scheduler.settings import Settings
from shared.contract.messages import (
    AttachVolume,
    ClusterCreateStarted,
    CommandFailed,
    DeployMachine,
    DisksExported,
    ExportDisks,
    MachineDeployStarted,
    Message,
    ProvisionCluster,
    ProvisionStack,
    ProvisionVm,
    ProvisionVolume,
    ReserveNode,
    SnapshotTaken,
    StackCreateStarted,
    TakeSnapshot,
    VmBuildStarted,
    VolumeAttached,
    VolumeProvisioned,
)
from shared.contract.problems import Reason
from shared.storage import Connection

#: Where this is kept, a row for each cloud.
TABLE = "cloud_failures"
#: A failure counts against a cloud for so long.
MEMORY = timedelta(minutes=5)
#: A request that tries a cloud after its rest, and of which nothing was heard for so long, is
#: no hindrance to another one (it may have been deleted).
PROBE_LIFE = timedelta(seconds=60)
_CLOUDS_FAULT = frozenset({Reason.BACKEND_UNAVAILABLE, Reason.BACKEND_TIMEOUT})
#: What ends a command before its cloud was asked: too late, no place, or not to be understood.
_NOT_ASKED = frozenset(
    {
        Reason.COMMAND_EXPIRED,
        Reason.COMMAND_REJECTED,
        Reason.NO_CAPACITY,
        Reason.NO_CLOUD,
        Reason.SECRET_UNREADABLE,
    }
)
#: What shows that a cloud makes things again. A port alone doesn't: Neutron may live without Nova.
_MADE = (
    VmBuildStarted,
    VolumeProvisioned,
    SnapshotTaken,
    VolumeAttached,
    DisksExported,
    MachineDeployStarted,
    StackCreateStarted,
    ClusterCreateStarted,
)
#: The commands that order them: whoever refuses one in so many words is alive.
_MAKING = frozenset(
    command.__name__
    for command in (
        ProvisionCluster,
        ProvisionStack,
        ProvisionVm,
        ProvisionVolume,
        TakeSnapshot,
        AttachVolume,
        ExportDisks,
        ReserveNode,
        DeployMachine,
    )
)


@dataclass(frozen=True)
class Health:
    """A row: see the migration for what the fields mean."""

    cloud: str
    failures: int = 0
    last_failure_at: datetime | None = None
    streak: int = 0
    streak_since: datetime | None = None
    rests: int = 0
    resting_until: datetime | None = None
    probed_at: datetime | None = None

    def rests_at(self, now: datetime) -> bool:
        """Tell whether nothing is to be begun there now, not even to try it."""
        return self.rest(now) is not None and not self._may_be_probed(now)

    def _may_be_probed(self, now: datetime) -> bool:
        over = self.resting_until is not None and self.resting_until <= now
        return over and (self.probed_at is None or self.probed_at + PROBE_LIFE <= now)

    def rest(self, now: datetime) -> Rest | None:
        """Its rest as placement sees it; None when it has none."""
        if self.resting_until is None:
            return None
        if self.resting_until > now:
            until = f"{self.resting_until:%H:%M:%S}"
            words = f"resting until {until} UTC after {self.streak} failures"
            return Rest(words, until=self.resting_until)
        if self._may_be_probed(now):
            return Rest(f"tried again after a rest for {self.streak} failures", over=True)
        return Rest("being tried by one request after its rest", over=True, tried=True)

    def recent(self, now: datetime) -> int:
        """How many failures it has had of late."""
        if self.last_failure_at is None or self.last_failure_at + MEMORY <= now:
            return 0
        return self.failures


def after_failure(health: Health, now: datetime, settings: Settings) -> Health:
    """The cloud failed once more: perhaps that was once too often."""
    health = replace(health, failures=health.recent(now) + 1, last_failure_at=now)
    if health.resting_until is not None:
        if health.resting_until > now:
            return health  # what is under way there goes on failing; nothing new in that
        return _rested(replace(health, streak=health.streak + 1), now, settings)
    since = health.streak_since
    if since is None or since + timedelta(seconds=settings.rest_within_seconds) <= now:
        health = replace(health, streak=0, streak_since=now)
    health = replace(health, streak=health.streak + 1)
    return _rested(health, now, settings) if health.streak >= settings.rest_failures else health


def _rested(health: Health, now: datetime, settings: Settings) -> Health:
    doubled = settings.rest_seconds * 2 ** min(health.rests, 20)
    rest = timedelta(seconds=min(doubled, settings.rest_most_seconds))
    return replace(health, rests=health.rests + 1, resting_until=now + rest, probed_at=None)


def after_success(health: Health) -> Health:
    """The cloud made something, or ended its rest: that, and what led to it, are history."""
    failures = 0 if health.resting_until is not None else health.failures
    return Health(health.cloud, failures, health.last_failure_at)


class Sign(enum.Enum):
    """What a worker's answer says of the cloud that it came from."""

    #: It could not cope.
    FAILURE = enum.auto()
    #: It makes things.
    SUCCESS = enum.auto()
    #: It answers, if only with a refusal (a quota, a name that it doesn't know).
    ALIVE = enum.auto()


def sign_in(event: Message, *, guest: bool = False) -> Sign | None:
    """Tell what a worker's answer says of its cloud; None: nothing.

    A ``guest`` speaks of a service beside what the cloud is for: that Heat is down hinders no VM,
    and that it takes a stack ends a rest, but says nothing of Nova's failures.
    """
    sign = _sign_in(event)
    if not guest or sign is None:
        return sign
    return None if sign is Sign.FAILURE else Sign.ALIVE


def _sign_in(event: Message) -> Sign | None:
    if isinstance(event, _MADE):
        return Sign.SUCCESS
    if not isinstance(event, CommandFailed):
        return None
    reason = event.problem.reason
    if reason in _CLOUDS_FAULT:
        return Sign.FAILURE
    answers = event.command in _MAKING and reason in set(Reason) - _NOT_ASKED
    return Sign.ALIVE if answers else None


async def note_answer(
    tx: Connection, cloud: str, sign: Sign, now: datetime, settings: Settings
) -> None:
    """Keep what an answer has said of its cloud. Locks the cloud's row, last of all."""
    if sign is Sign.SUCCESS:
        await _end_if(tx, cloud, "streak > 0")
    elif sign is Sign.ALIVE:
        await _end_if(tx, cloud, "resting_until IS NOT NULL")
    else:
        await _note_failure(tx, cloud, now, settings)


async def _note_failure(tx: Connection, cloud: str, now: datetime, settings: Settings) -> None:
    await tx.execute(
        "INSERT INTO cloud_failures (cloud, failures, last_failure_at) VALUES ($1, 0, $2)"
        " ON CONFLICT DO NOTHING",
        *(cloud, now),
    )
    health = await _lock(tx, cloud)
    after = after_failure(health, now, settings)
    if after.rests > health.rests:
        RESTS.labels(cloud).inc()
    await _save(tx, after)


async def _end_if(tx: Connection, cloud: str, condition: str) -> None:
    """Usually there is nothing to forget, and nothing is locked."""
    if await tx.fetchval(f"SELECT {condition} FROM cloud_failures WHERE cloud = $1", cloud):  # noqa: S608 - our own words
        await _save(tx, after_success(await _lock(tx, cloud)))


async def _lock(tx: Connection, cloud: str) -> Health:
    row = await tx.fetchrow("SELECT * FROM cloud_failures WHERE cloud = $1 FOR UPDATE", cloud)
    return Health(**dict(row or {"cloud": cloud}))


async def _save(tx: Connection, health: Health) -> None:
    await tx.execute(
        "UPDATE cloud_failures SET failures = $2, last_failure_at = $3, streak = $4,"
        " streak_since = $5, rests = $6, resting_until = $7, probed_at = $8 WHERE cloud = $1",
        *(health.cloud, health.failures, health.last_failure_at, health.streak),
        *(health.streak_since, health.rests, health.resting_until, health.probed_at),
    )


async def note_probes(tx: Connection, clouds: tuple[str, ...], now: datetime) -> None:
    """One request each now tries these clouds."""
    for cloud in sorted(clouds):
        await tx.execute("UPDATE cloud_failures SET probed_at = $2 WHERE cloud = $1", cloud, now)


async def healths(tx: Connection) -> dict[str, Health]:
    """Every cloud that has ever failed."""
    rows = await tx.fetch("SELECT * FROM cloud_failures")
    return {row["cloud"]: Health(**dict(row)) for row in rows}
