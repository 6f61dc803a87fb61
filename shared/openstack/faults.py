"""The clouds' faults in our words: the one place that decides what may be tried again.

Pure. Sources: Compute API guide "Faults", Networking API v2 "NeutronError" (``type`` names the
fault), and what the real services answered in our tests.
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

#: Neutron's names of faults → reason.
_NEUTRON_TYPES = {
    "NetworkNotFound": Reason.NETWORK_NOT_FOUND,
    "SecurityGroupNotFound": Reason.SECURITY_GROUP_NOT_FOUND,
    "IpAddressGenerationFailure": Reason.ADDRESSES_EXHAUSTED,
    "ExternalIpAddressExhausted": Reason.ADDRESSES_EXHAUSTED,
    "OverQuota": Reason.QUOTA_EXCEEDED,
}
#: Words of Nova's and Magnum's refusals → reason; their faults have no names.
_NOVA_WORDS = tuple(
    (re.compile(words, re.IGNORECASE), reason)
    for words, reason in (
        (r"quota exceeded|exceeds? .*quota", Reason.QUOTA_EXCEEDED),
        (r"can not find requested image|\bimage\b.*could not be found", Reason.IMAGE_NOT_FOUND),
        (r"\bflavor\b.*could not be found|invalid flavorref", Reason.FLAVOR_NOT_FOUND),
        (r"unable to find flavor", Reason.FLAVOR_NOT_FOUND),
        (r"unable to find image", Reason.IMAGE_NOT_FOUND),
        (r"unable to find (external |fixed )?network", Reason.NETWORK_NOT_FOUND),
        (r"reached the maximum clusters per project", Reason.QUOTA_EXCEEDED),
        (r"security group .*not found", Reason.SECURITY_GROUP_NOT_FOUND),
        (r"\bnetwork\b.*could not be found", Reason.NETWORK_NOT_FOUND),
        (r"no more ip addresses|no fixed ip addresses available", Reason.ADDRESSES_EXHAUSTED),
    )
)
#: Our service user lacks a role, or the service has not loaded its rules yet: nothing that the
#: requester did wrong, and passing when the operator mends it.
_POLICY = re.compile(r"disallowed by policy|policy doesn't allow", re.IGNORECASE)
#: "… for cores, ram: Requested 2, 9999, but already used 1, 512 of 10, 4096 cores, ram"
_NOVA_QUOTA = re.compile(
    r"Requested (?P<requested>[\d, ]*\d), but already used [\d, ]+ of (?P<limits>-?\d+(?:, -?\d+)*)"
)
_FOR_NOW = frozenset({Reason.QUOTA_EXCEEDED, Reason.ADDRESSES_EXHAUSTED})


@dataclass(frozen=True)
class Fault:
    """A failed call: ``status`` is None when there was no answer to the request itself."""

    detail: str
    status: int | None = None
    code: str = ""
    #: The Retry-After header as it came (RFC 9110 §10.2.3).
    retry_after: str = ""
    #: The request was sent, perhaps, and the cloud may yet do what it asks.
    unanswered: bool = False

    @property
    def retry_seconds(self) -> float | None:
        """The header in seconds; OpenStack doesn't use its date form."""
        text = self.retry_after.strip()
        return float(text) if text.isascii() and text.isdigit() else None


def translate(fault: Fault, missing: Reason = Reason.BACKEND_REFUSED) -> ColobusError:
    """Return our error; ``missing`` is the reason of a 404 whose cause we can't tell otherwise."""
    detail, status = fault.detail[:_MAX_DETAIL], fault.status
    if fault.unanswered or status in _UNANSWERED:
        return OutcomeUnknown(detail, retry_after=fault.retry_seconds)
    if status is None or status >= 500 or status in _PASSING or _is_rate_limit(fault):
        return BackendUnavailable(detail, retry_after=fault.retry_seconds)
    reason = _NEUTRON_TYPES.get(fault.code) or _reason_in(detail)
    if status == 403 and _POLICY.search(detail):
        return TemporaryError(detail, reason=Reason.BACKEND_REFUSED)
    if reason in _FOR_NOW and not _can_never_fit(detail):
        return RefusedForNow(detail, reason=reason, code=fault.code)
    if status == 404:
        return NotFound(detail, reason=reason or missing, code=fault.code)
    kind = Conflict if status == 409 else Refused
    return kind(detail, reason=reason or Reason.BACKEND_REFUSED, code=fault.code)


def _can_never_fit(detail: str) -> bool:
    """Nova says what was requested and what the quota is; more than all of it will never fit."""
    match = _NOVA_QUOTA.search(detail)
    if match is None:
        return False
    requested, limits = (
        [int(number) for number in match[group].split(",")] for group in ("requested", "limits")
    )
    return any(0 <= limit < wanted for wanted, limit in zip(requested, limits, strict=False))


def _is_rate_limit(fault: Fault) -> bool:
    """Old Novas answer 413 for their rate limit and for quota; only one says when to retry."""
    return fault.status == 413 and fault.retry_seconds is not None


def _reason_in(detail: str) -> Reason | None:
    return next((reason for words, reason in _NOVA_WORDS if words.search(detail)), None)
