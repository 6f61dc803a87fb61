"""Ironic's faults in our words: the one place that decides what may be tried again.

Pure. Sources: Bare Metal API, `ironic.common.exception`, and what a real Ironic answered in our
tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.contract.problems import Reason
from shared.runtime.errors import BackendUnavailable, ColobusError, OutcomeUnknown, TemporaryError
from shared.worker.errors import Conflict, NotFound, Refused, RefusedForNow

_MAX_DETAIL = 2000
#: 401: Keystone is down or has forgotten our token; the next call gets a new one.
_PASSING = frozenset({401, 408, 425, 429})
#: The service itself, or one behind it, did not answer, or broke off in the middle of it.
_UNANSWERED = frozenset({500, 502, 504})
#: Something else is under way on the node, or was: the next attempt looks again.
_BUSY = re.compile(
    r"is locked by host|can ?not be performed on node|cannot remove allocation"
    r"|while it is in state|is not available for updates|while a state transition is in progress",
    re.IGNORECASE,
)
_MAINTENANCE = re.compile(r"in maintenance mode", re.IGNORECASE)
_POLICY = re.compile(r"disallowed by policy|policy doesn't allow", re.IGNORECASE)
#: Ironic holds a node's lock for as long as one call to its board takes.
_AFTER_BUSY = 2.0


@dataclass(frozen=True)
class Fault:
    """A failed call: ``status`` is None when there was no answer to the request itself."""

    detail: str
    status: int | None = None
    #: The Retry-After header as it came (RFC 9110 §10.2.3).
    retry_after: str = ""
    #: The request was sent, perhaps, and Ironic may yet do what it asks.
    unanswered: bool = False

    @property
    def retry_seconds(self) -> float | None:
        """The header in seconds; OpenStack doesn't use its date form."""
        text = self.retry_after.strip()
        return float(text) if text.isascii() and text.isdigit() else None


def translate(fault: Fault, *, changing: bool) -> ColobusError:
    """Return our error; ``changing``: the call was to change something."""
    detail, status = fault.detail[:_MAX_DETAIL], fault.status
    if changing and (fault.unanswered or status in _UNANSWERED):
        return OutcomeUnknown(detail, retry_after=fault.retry_seconds)
    if status is None or status >= 500 or status in _PASSING:
        return BackendUnavailable(detail, retry_after=fault.retry_seconds)
    if status in (400, 409) and _BUSY.search(detail):
        return TemporaryError(detail, reason=Reason.IN_USE, retry_after=_AFTER_BUSY)
    if status in (400, 409) and _MAINTENANCE.search(detail):
        return RefusedForNow(detail, reason=Reason.NODE_MAINTENANCE)
    if status == 403 and _POLICY.search(detail):
        # Our user lacks a role: nothing that the requester did wrong.
        return TemporaryError(detail, reason=Reason.BACKEND_REFUSED)
    if status == 404:
        return NotFound(detail)
    return Conflict(detail) if status == 409 else Refused(detail)
