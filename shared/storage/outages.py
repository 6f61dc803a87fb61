"""Which of the database's errors mean that it is out, and the same may succeed later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from shared.runtime.errors import BackendUnavailable

#: Source: PostgreSQL's error codes, classes 08, 40, 53 and 57, and what a failover looks like.
_OUTAGES = (
    asyncpg.PostgresConnectionError,
    asyncpg.TransactionRollbackError,  # serialization failure, deadlock
    asyncpg.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.OperatorInterventionError,  # shutdown, crash, starting up, statement timeout
    asyncpg.ReadOnlySQLTransactionError,  # a standby answers during a failover
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,  # a migration has just changed the table
    asyncpg.InternalClientError,
    OSError,  # TimeoutError is one
)


def is_outage(error: BaseException) -> bool:
    """Tell whether ``error`` says something of the database's state, not of our statement.

    asyncpg's InterfaceError is both: a lost connection, or a wrong argument (then a ValueError).
    """
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)
    return isinstance(error, _OUTAGES)


@contextmanager
def outages_are_temporary() -> Iterator[None]:
    """Raise `BackendUnavailable` for outages; everything else passes."""
    try:
        yield
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
    ) as e:
        if is_outage(e):
            raise unavailable(e) from e
        raise


def unavailable(error: BaseException) -> BackendUnavailable:
    """Return the public form of an outage; the database's own words stay out of it."""
    return BackendUnavailable(f"the database is not available ({type(error).__name__})")
