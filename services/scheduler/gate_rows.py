"""Gates that refusals have closed, as rows of a table: who of a queue may try again when.

For each resource that ends there, and each that found room, one may try; else one after a while.
So the head of the queue is served as soon as it can be, and the others don't storm the backend.
Whoever changes a row holds the lock that its table's module names.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.scheduler.queues import Gate
from shared.contract.problems import Problem, Reason
from shared.storage import Connection

#: How long nobody tries when nothing has ended, in seconds: longer each time, up to the last.
WAITS = (5, 10, 20, 40, 60)
#: A refusal that nobody has come back to for so long says nothing any more.
STALE = timedelta(seconds=120)

Key = tuple[str, ...]


class GateRows:
    """A table of gates, each known by these columns."""

    def __init__(self, table: str, *columns: str) -> None:
        self._table = table
        self._columns = columns
        self._key = ", ".join(columns)

    def _values(self, first: int) -> str:
        """The places of a key among a statement's parameters."""
        return ", ".join(f"${first + number}" for number in range(len(self._columns)))

    def _is(self, first: int) -> str:
        return f"({self._key}) = ({self._values(first)})"

    async def close(self, tx: Connection, key: Key, problem: Problem, reason: Reason) -> None:
        """Close it, in the backend's words; if it is closed already, what it allows stays so."""
        await tx.execute(
            f"DELETE FROM {self._table} WHERE not_before < now() - $1::interval AND {self._is(2)}",  # noqa: S608 - our own words
            *(STALE, *key),
        )
        await tx.execute(
            f"INSERT INTO {self._table} AS f (reason, words, not_before, {self._key})"  # noqa: S608 - our own words
            f" VALUES ($1, $2, now() + $3::interval, {self._values(4)})"
            f" ON CONFLICT ({self._key}) DO UPDATE"
            " SET reason = EXCLUDED.reason, words = EXCLUDED.words, refused_at = now(),"
            " not_before = greatest(f.not_before, EXCLUDED.not_before)",
            *(reason.value, problem.detail or problem.title, timedelta(seconds=WAITS[0]), *key),
        )

    async def exists(self, tx: Connection, key: Key) -> bool:
        """Tell whether there was a refusal: hardly ever, so that nothing is locked for nothing."""
        query = f"SELECT EXISTS (SELECT FROM {self._table} WHERE {self._is(1)})"  # noqa: S608 - our own words
        return bool(await tx.fetchval(query, *key))

    async def allow_one(self, tx: Connection, key: Key) -> None:
        """Something has ended there: one more may try, if there is anything to try."""
        await tx.execute(
            f"UPDATE {self._table} SET tries = tries + 1 WHERE {self._is(1)}",  # noqa: S608 - our own words
            *key,
        )

    async def open_again(self, tx: Connection, key: Key, at: datetime) -> None:
        """There was room ``at`` that time: if nobody was refused since, one may try now."""
        await tx.execute(
            f"UPDATE {self._table} SET tries = greatest(tries, 1)"  # noqa: S608 - our own words
            f" WHERE refused_at < $1 AND {self._is(2)}",
            *(at, *key),
        )

    async def had_room(self, tx: Connection, key: Key, since: datetime, *, wanted: bool) -> None:
        """There was room for what was begun ``since``, after the refusal: perhaps there is more.

        When nobody waits (not ``wanted``), the refusal is history.
        """
        change = f"UPDATE {self._table} SET tries = tries + 1, waits = 0"  # noqa: S608 - our own words
        forget = f"DELETE FROM {self._table}"  # noqa: S608 - our own words
        is_older = f"WHERE closed_at < $1 AND {self._is(2)}"
        await tx.execute(f"{change if wanted else forget} {is_older}", since, *key)

    async def note_try(self, tx: Connection, key: Key, *, timely: bool) -> None:
        """One was admitted. Was it only because it was time, the next has to wait longer."""
        if not timely:
            await tx.execute(
                f"UPDATE {self._table} SET tries = greatest(0, tries - 1) WHERE {self._is(1)}",  # noqa: S608 - our own words
                *key,
            )
            return
        await tx.execute(
            f"UPDATE {self._table} SET waits = waits + 1,"  # noqa: S608 - our own words
            " not_before = now() + make_interval(secs => ($1::float[])[least(waits + 2, $2)])"
            f" WHERE {self._is(3)}",
            *(list(map(float, WAITS)), len(WAITS), *key),
        )

    async def gates(self, tx: Connection, firsts: Sequence[str] | None = None) -> dict[Key, Gate]:
        """Those that say something yet, by key; only of keys that begin so, where that is given."""
        rows = await tx.fetch(
            f"SELECT * FROM {self._table} WHERE not_before > now() - $1::interval"  # noqa: S608 - our own words
            f" AND ($2::text[] IS NULL OR {self._columns[0]} = ANY($2))",
            *(STALE, None if firsts is None else list(firsts)),
        )
        return {
            tuple(row[name] for name in self._columns): Gate(
                Reason(row["reason"]), row["words"], row["not_before"], row["tries"]
            )
            for row in rows
        }
