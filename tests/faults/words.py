"""All that Heat and Magnum ever said of stacks and clusters: kept as they say it, for they forget.

What is deleted is gone from Magnum's tables, and Heat's show its last word only. So triggers in
their database copy each status, as it is written, into a table of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from devcloud.components.mariadb import query
from devcloud.site import Site
from tests.faults.rows import plain, rows

_OWN = "colobus_faults"
_COMPLETE = "CREATE_COMPLETE"
_FAILED = "CREATE_FAILED"
#: What Heat calls a making that it gave up since it was told to delete: our order, not its failure.
_CANCELLED = "Stack CREATE cancelled"
#: {table: its columns of id, status and reason}; all have a name, which is the resource's.
_TABLES = {
    "heat.stack": ("id", "CONCAT({row}.action, '_', {row}.status)", "status_reason"),
    "magnum.cluster": ("uuid", "{row}.status", "status_reason"),
}
#: What a trigger can't write, whom it listens to can't either: it takes all that they may say.
_MADE = f"""
    CREATE DATABASE IF NOT EXISTS {_OWN};
    CREATE OR REPLACE TABLE {_OWN}.words (
        number BIGINT AUTO_INCREMENT PRIMARY KEY,
        id VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, status VARCHAR(80), reason LONGTEXT)
        CHARACTER SET utf8mb4"""
_TRIGGER = f"""
    CREATE OR REPLACE TRIGGER {{table}}_{{when}} AFTER {{when}} ON {{table}} FOR EACH ROW
    INSERT INTO {_OWN}.words (id, name, status, reason)
    SELECT NEW.{{id}}, NEW.name, {{status}}, NEW.{{reason}} FROM DUAL"""
_UNLESS_THE_SAME = " WHERE NOT ({status} <=> {before})"
_READ = f"""
    SELECT id, name, COALESCE(status, ''), {plain("reason")} FROM {_OWN}.words ORDER BY number"""


@dataclass(frozen=True)
class Word:
    """What was said of one stack or cluster, ``name`` being that of its resource."""

    id: str
    name: str
    status: str
    reason: str

    @property
    def completes(self) -> bool:
        """Tell whether it was made."""
        return self.status == _COMPLETE

    @property
    def fails(self) -> bool:
        """Tell whether the backend itself gave its making up."""
        return self.status == _FAILED and _CANCELLED not in self.reason


class Words:
    """Read anew whenever asked: the database is no part that is broken."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def all(self) -> Iterator[Word]:
        """Yield every word, in order; raise `NotSeen` where the database gives no answer."""
        for row in rows(self._site, _READ):
            yield Word(*row)

    def names(self) -> dict[str, str]:
        """Return {id of a stack or cluster: its resource}."""
        return {one.id: one.name for one in self.all()}


def statements() -> Iterable[str]:
    """Return what makes the table and its triggers, or replaces those of a run that was killed."""
    yield from (part for part in _MADE.split(";"))
    for table, (id, status, reason) in _TABLES.items():
        new, old = status.format(row="NEW"), status.format(row="OLD")
        named = {"table": table, "id": id, "status": new, "reason": reason}
        yield _TRIGGER.format(when="insert", **named)
        again = _UNLESS_THE_SAME.format(status=new, before=old)
        yield _TRIGGER.format(when="update", **named) + again


@contextmanager
def listening(site: Site) -> Iterator[Words]:
    """Keep all that is said, until the end."""
    for statement in statements():
        query(site, statement)
    try:
        yield Words(site)
    finally:
        for table in _TABLES:
            for when in ("insert", "update"):
                query(site, f"DROP TRIGGER IF EXISTS {table}_{when}")
        query(site, f"DROP DATABASE {_OWN}")
