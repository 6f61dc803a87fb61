"""Errors that say whether to try again and what the public may read."""

from __future__ import annotations

from typing import ClassVar

from shared.contract.problems import Problem, Reason


class ColobusError(Exception):
    """An error whose text is fit for the public.

    ``detail`` carries the backend's own words where there are any. ``reason`` is the
    machine-readable cause, ``status`` the HTTP status where the error becomes an answer.
    """

    default_title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        reason: Reason | str | None = None,
        title: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason = None if reason is None else str(reason)
        self.title = title or self._title()
        self.status = status

    def problem(self, status: int | None = None) -> Problem:
        """Return the RFC 9457 problem; ``status`` overrides the error's own."""
        return Problem(
            title=self.title,
            status=self.status if status is None else status,
            detail=self.detail,
            reason=self.reason,
            retryable=self.retryable,
        )

    def _title(self) -> str:
        return self.reason.replace("_", " ").capitalize() if self.reason else self.default_title


class TemporaryError(ColobusError):
    """The same may succeed later; ``retry_after`` seconds where the backend said so."""

    default_title = "Temporary failure"
    retryable = True

    def __init__(
        self,
        detail: str,
        *,
        reason: Reason | str | None = None,
        title: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, reason=reason, title=title, status=status)
        self.retry_after = retry_after


class PermanentError(ColobusError):
    """The same will not succeed, however often it is tried."""

    default_title = "Permanent failure"


class ConfigurationError(PermanentError):
    """A setting or a file of the operator is wrong; the service can't start with it."""

    default_title = "Configuration error"


class BackendUnavailable(TemporaryError):
    """The database, broker or cloud can't be reached or can't answer now."""

    def __init__(
        self, detail: str, *, title: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(
            detail,
            reason=Reason.BACKEND_UNAVAILABLE,
            title=title,
            status=503,
            retry_after=retry_after,
        )


class OutcomeUnknown(BackendUnavailable):
    """The backend took the request, perhaps, and did not answer: it may yet have its effect."""
