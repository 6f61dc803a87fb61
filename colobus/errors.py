"""What can go wrong for a user of the client. All of it is a `ColobusError`."""

from __future__ import annotations

from colobus.models import Problem, Resource


class ColobusError(Exception):
    """The base of the client's errors; its text is meant to be shown."""


class ApiError(ColobusError):
    """Colobus answered with a problem document (RFC 9457)."""

    def __init__(self, status: int, problem: Problem) -> None:
        self.status = status
        self.problem = problem
        fields = [f"{e.pointer or e.parameter or 'body'}: {e.detail}" for e in problem.errors]
        super().__init__(": ".join([problem.title, *filter(None, [problem.detail]), *fields]))


class NotFound(ApiError):
    """There is no such thing, or it is another tenant's (404)."""


class NotAuthorized(ApiError):
    """The credentials are missing, wrong, expired, or not enough (401, 403)."""


class TryLater(ApiError):
    """The service can't do it now, and could not during all the retries (429, 502, 503, 504)."""


class Unreachable(ColobusError):
    """No answer came during all the retries."""


class UnexpectedAnswer(ColobusError):
    """The answer is not of Colobus' form: is this the right address?"""


class KeystoneUnavailable(Unreachable):
    """Keystone gave no answer when asked for a token."""


class CredentialsError(ColobusError):
    """There are no usable credentials, or Keystone did not accept them."""


class ResourceEnded(ColobusError):
    """A resource that was waited for has ended another way; ``resource`` says how."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        status = resource.status
        why = (status.error and (status.error.detail or status.error.title)) or status.message
        super().__init__(f"{resource.id} is {status.phase}" + (f": {why}" if why else ""))


class WaitTimeout(ColobusError):
    """The time for waiting is over; ``resource`` goes on without us."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        super().__init__(f"{resource.id} is still {resource.status.phase}")


class UnusableInput(ColobusError):
    """What the operator gave is of no use: a file, a name, a setting, what is installed."""


class NoSuchImage(ColobusError):
    """There is no golden image of that name."""


class StoreRefuses(ColobusError):
    """It can't be done with the golden images as they are, or Ceph says no."""


class StoreForbids(CredentialsError):
    """Ceph's user may not do this, or its key is not accepted."""


class StoreUnavailable(Unreachable):
    """Ceph gave no answer in time."""


class NoSuchNode(ColobusError):
    """Ironic knows no node of that name."""


class IronicRefuses(ColobusError):
    """It can't be done with the nodes as they are, or Ironic says no; the text has its words."""


class IronicForbids(CredentialsError):
    """Ironic's user may not do this, or Keystone doesn't accept it."""


class IronicUnavailable(Unreachable):
    """Ironic, or the Keystone before it, gave no answer."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: NotAuthorized,
    403: NotAuthorized,
    404: NotFound,
    429: TryLater,
    502: TryLater,
    503: TryLater,
    504: TryLater,
}


def api_error(status: int, problem: Problem) -> ApiError:
    """Return the error for an answer's HTTP status."""
    return _BY_STATUS.get(status, ApiError)(status, problem)
