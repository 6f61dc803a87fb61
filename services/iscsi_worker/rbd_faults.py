"""Ceph's faults in our words: the one place that decides what may be tried again.

Pure. Sources: errno(3), which librados and librbd answer with, and what the real ones answered in
our tests.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from shared.contract.problems import Reason
from shared.runtime.errors import BackendUnavailable, ColobusError, OutcomeUnknown, TemporaryError
from shared.worker.errors import Conflict, NotFound, Refused

#: Nobody answered in time, or this client was shut out: the connection is made anew.
_LOST = frozenset(
    {
        errno.ETIMEDOUT,
        errno.ESHUTDOWN,
        errno.ENOTCONN,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EINTR,
        errno.EIO,
    }
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: The operator's: a key or its capabilities.
_FORBIDDEN = frozenset({errno.EPERM, errno.EACCES})
#: Held by a client, by snapshots; locked by another client for a moment.
_HELD = frozenset({errno.EBUSY, errno.ENOTEMPTY, errno.EROFS})
_REFUSED = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EDOM, errno.ERANGE})


@dataclass(frozen=True)
class Fault:
    """A failed call, with Ceph's own words; ``number`` is None where it gives none."""

    detail: str
    number: int | None = None
    #: It changes something, and may yet have done so.
    changes: bool = False

    @property
    def connection_lost(self) -> bool:
        """Whether another connection may do better."""
        return self.number is None or self.number in _LOST


def translate(fault: Fault) -> ColobusError:
    """Return our error."""
    number, detail = fault.number, fault.detail
    if fault.connection_lost:
        return OutcomeUnknown(detail) if fault.changes else BackendUnavailable(detail)
    if number == errno.ENOENT:
        return NotFound(detail)
    if number == errno.EEXIST:
        return Conflict(detail, code="exists")
    if number in _HELD:
        return Conflict(detail, code="held")
    if number in _FULL:
        return TemporaryError(detail, reason=Reason.NO_CAPACITY)
    if number in _REFUSED:
        return Refused(detail)
    reason = Reason.BACKEND_REFUSED if number in _FORBIDDEN else Reason.BACKEND_UNAVAILABLE
    return TemporaryError(detail, reason=reason)
