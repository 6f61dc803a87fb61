"""What a backend may answer besides the thing itself, in words that provisioners understand.

Adapters raise these `from` the vendor's own errors; the vendor's types stop in the adapter.
"""

from __future__ import annotations

from typing import ClassVar

from shared.contract.problems import Reason
from shared.runtime.errors import PermanentError


class Refused(PermanentError):
    """The backend refuses the request; ``code`` is its own name of the fault, where it has one."""

    def __init__(
        self, detail: str, *, reason: Reason = Reason.BACKEND_REFUSED, code: str = ""
    ) -> None:
        super().__init__(detail, reason=reason)
        self.code = code


class NotFound(Refused):
    """Something that the request names, or is about, doesn't exist (HTTP 404)."""


class Conflict(Refused):
    """The backend's state stands against it: it exists already, is in use, is busy (HTTP 409)."""


class RefusedForNow(Refused):
    """Out of quota or addresses: this attempt failed, the same request may succeed later."""

    retryable: ClassVar[bool] = True
