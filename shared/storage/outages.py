"""Which of the database's errors mean that it is out, and the same may succeed later."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from shared.runtime.errors import BackendUnavailable

#: The session is gone, or of no use any more (PostgreSQL's error codes, classes 08 and 57, and
#: what a failover looks like). InternalClientError: asyncpg met the end in mid-protocol.
_LOSSES = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,
    OSError,  # TimeoutError is one
)
#: Another try may succeed on the same session (classes 40 and 53, time limits, a migration).
_CONFLICTS = (
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,
)


def is_loss(error: BaseException | None) -> bool:
    """Tell whether ``error`` means that the session is lost.

    asyncpg's InterfaceError means that, or that we gave a wrong argument: then it's a ValueError.
    """
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)
    return isinstance(error, _LOSSES)


@contextmanager
def outages_are_temporary() -> Iterator[None]:
    """Raise `BackendUnavailable` for what may pass; everything else passes through."""
    try:
        yield
    except (*_LOSSES, *_CONFLICTS, asyncpg.InterfaceError) as error:
        if is_loss(error) or isinstance(error, _CONFLICTS):
            raise unavailable(error) from error
        raise


def unavailable(error: BaseException) -> BackendUnavailable:
    """Return the public form of an outage; the database's own words stay out of it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return BackendUnavailable(f"the database's certificate is refused: {error.verify_message}")
    return BackendUnavailable(f"the database is not available ({type(error).__name__})")
