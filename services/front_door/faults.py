"""What is wrong with a request, as exceptions that the middleware turns into problem documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from shared.contract.problems import FieldError, Problem
from shared.runtime.errors import PermanentError


class RequestFault(PermanentError):
    """The request can't be done as asked: a 4xx answer. ``errors`` name the bad fields."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(detail, reason=reason, status=status)
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.may_retry = retryable

    def problem(self, status: int | None = None) -> Problem:
        """Return the RFC 9457 problem with its field errors."""
        plain = super().problem(status)
        return msgspec.structs.replace(plain, errors=self.errors, retryable=self.may_retry)


def bad_parameter(name: str, detail: str) -> RequestFault:
    """A query parameter or header is wrong (400)."""
    error = FieldError(detail=detail, parameter=name)
    return RequestFault(400, "bad_parameter", f"{name}: {detail}", errors=[error])


def bad_fields(errors: Iterable[FieldError]) -> RequestFault:
    """The body is JSON, but not what is wanted (422, RFC 9110 §15.5.21)."""
    return RequestFault(422, "bad_fields", "The body has fields that are wrong.", errors=errors)


def bad_field(pointer: str, detail: str) -> RequestFault:
    """One field of the body is wrong (422)."""
    return bad_fields([FieldError(detail=detail, pointer=pointer)])


def not_found(what: str = "resource") -> RequestFault:
    """There is no such thing, or it is another tenant's: nobody can tell the two apart (404)."""
    return RequestFault(404, "not_found", f"There is no such {what}.")


def unauthorized(detail: str) -> RequestFault:
    """The credentials are missing or not valid (401 with a challenge, RFC 9110 §11.6.1)."""
    challenge = {"WWW-Authenticate": 'Bearer realm="colobus", Keystone realm="colobus"'}
    return RequestFault(401, "unauthorized", detail, headers=challenge)


def forbidden(detail: str) -> RequestFault:
    """The credentials are valid and not enough (403)."""
    return RequestFault(403, "forbidden", detail)


def key_reused() -> RequestFault:
    """An Idempotency-Key stands for one request, not for two (422)."""
    detail = "This Idempotency-Key was used for another request before."
    return RequestFault(422, "idempotency_key_reused", detail)


def too_many(detail: str, retry_after: float) -> RequestFault:
    """Slow down (429); ``retry_after`` in seconds."""
    headers = {"Retry-After": str(max(1, round(retry_after + 0.5)))}
    return RequestFault(429, "too_many_requests", detail, headers=headers, retryable=True)
