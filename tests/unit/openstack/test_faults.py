from __future__ import annotations

import pytest

from shared.contract.problems import Reason
from shared.openstack.faults import Fault, translate
from shared.runtime.errors import PermanentError, TemporaryError
from shared.worker.errors import Conflict, NotFound, Refused, RefusedForNow

QUOTA = "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("The cloud can't be reached."),
        Fault("Internal Server Error", 500),
        Fault("Bad Gateway", 502),
        Fault("Service Unavailable", 503),
        Fault("Gateway Timeout", 504),
        Fault("The request you have made requires authentication.", 401),
        Fault("Too many", 429, retry_after="7"),
        Fault("Timeout", 408),
        Fault("This request was rate-limited.", 413, retry_after="7"),
    ],
)
def test_what_may_pass_is_temporary(fault: Fault) -> None:
    """The cloud is down, busy, or didn't answer: the outcome is unknown, and may be tried again."""
    error = translate(fault)
    assert isinstance(error, TemporaryError)
    assert error.reason == Reason.BACKEND_UNAVAILABLE
    assert error.retry_after == (7.0 if fault.retry_after else None)
    assert error.problem().retryable


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        (Fault(QUOTA, 403), RefusedForNow, Reason.QUOTA_EXCEEDED),
        (Fault("Quota exceeded, too many servers in group.", 403), RefusedForNow, "quota_exceeded"),
        (Fault("Quota exceeded for resources: ['port'].", 409, "OverQuota"), RefusedForNow,
         Reason.QUOTA_EXCEEDED),
        (Fault("Quota exceeded", 413), RefusedForNow, Reason.QUOTA_EXCEEDED),
        (Fault("No more IP addresses available on network n.", 409, "IpAddressGenerationFailure"),
         RefusedForNow, Reason.ADDRESSES_EXHAUSTED),
        (Fault("Unable to find any IP address on external network n.", 400,
               "ExternalIpAddressExhausted"), RefusedForNow, Reason.ADDRESSES_EXHAUSTED),
        (Fault("Access is denied.", 403), Refused, Reason.BACKEND_REFUSED),
        (Fault("Flavor's memory is too small for requested image.", 400), Refused,
         Reason.BACKEND_REFUSED),
        (Fault("Can not find requested image", 400), Refused, Reason.IMAGE_NOT_FOUND),
        (Fault("Image 0b could not be found.", 404), NotFound, Reason.IMAGE_NOT_FOUND),
        (Fault("Flavor 9 could not be found.", 400), Refused, Reason.FLAVOR_NOT_FOUND),
        (Fault("Security group web not found for project p.", 400), Refused,
         Reason.SECURITY_GROUP_NOT_FOUND),
        (Fault("Security group g does not exist", 404, "SecurityGroupNotFound"), NotFound,
         Reason.SECURITY_GROUP_NOT_FOUND),
        (Fault("Network n could not be found.", 404, "NetworkNotFound"), NotFound,
         Reason.NETWORK_NOT_FOUND),
        (Fault("The mac address is in use.", 409, "MacAddressInUse"), Conflict,
         Reason.BACKEND_REFUSED),
        (Fault("Cannot 'stop' instance while it is in vm_state stopped", 409), Conflict,
         Reason.BACKEND_REFUSED),
        (Fault("Port p could not be found.", 404, "PortNotFound"), NotFound,
         Reason.BACKEND_REFUSED),
    ],
)  # fmt: skip
def test_what_the_cloud_refuses_has_its_reason(
    fault: Fault, kind: type[Refused], reason: Reason
) -> None:
    """The step fails, with the cloud's own words; quota and addresses may be there later."""
    error = translate(fault)
    assert type(error) is kind
    assert isinstance(error, PermanentError)
    assert (error.reason, error.detail, error.code) == (reason, fault.detail, fault.code)
    assert error.problem().retryable is (kind is RefusedForNow)


@pytest.mark.parametrize(
    "words",
    [
        "Policy doesn't allow os_compute_api:servers:create to be performed.",
        "(rule:create_port) is disallowed by policy",
    ],
)
def test_a_right_that_our_own_user_lacks_is_no_fault_of_the_request(words: str) -> None:
    """The operator mends it, or the service is still loading its rules: it waits, and says why."""
    error = translate(Fault(words, 403))
    assert isinstance(error, TemporaryError)
    assert (error.reason, error.detail) == (Reason.BACKEND_REFUSED, words)


def test_the_caller_names_what_is_missing_when_the_cloud_does_not() -> None:
    """A bare 404 gets the reason that the call knows; a known cause wins over it."""
    assert translate(Fault("gone", 404), Reason.REMOVED_EXTERNALLY).reason == "removed_externally"
    named = Fault("Network n could not be found.", 404, "NetworkNotFound")
    assert translate(named, Reason.REMOVED_EXTERNALLY).reason == "network_not_found"


def test_a_cloud_that_talks_too_much_is_cut_short() -> None:
    """A page of HTML from a load balancer doesn't fill the ledger."""
    assert len(translate(Fault("x" * 100_000, 502)).detail) == 2000


@pytest.mark.parametrize(
    ("detail", "may_fit_later"),
    [
        ("Quota exceeded for cores: Requested 2, but already used 9 of 10 cores", True),
        ("Quota exceeded for cores: Requested 2, but already used 0 of 1 cores", False),
        ("Quota exceeded for cores, ram: Requested 2, 999, but already used 1, 5 of 9, 512", False),
        ("Quota exceeded for ram: Requested 999, but already used 5 of -1 ram", True),
        ("Quota exceeded, too many servers in group.", True),
    ],
)
def test_what_no_empty_project_could_hold_will_never_fit(detail: str, may_fit_later: bool) -> None:
    """Waiting for quota makes sense only where giving something back can make room."""
    error = translate(Fault(detail, 403))
    assert error.reason == Reason.QUOTA_EXCEEDED
    assert error.problem().retryable is may_fit_later


@pytest.mark.parametrize("header", ["", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "١", "1.5"])
def test_a_retry_after_that_is_no_number_of_seconds_counts_as_none(header: str) -> None:
    """Only whole seconds are read."""
    assert Fault("busy", 429, retry_after=header).retry_seconds is None
