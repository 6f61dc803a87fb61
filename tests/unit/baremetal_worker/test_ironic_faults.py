"""Ironic's faults become errors that say whether to try again."""

from __future__ import annotations

import pytest

from services.baremetal_worker.ironic_faults import Fault, translate
from shared.contract.problems import Reason
from shared.runtime.errors import (
    BackendUnavailable,
    ColobusError,
    OutcomeUnknown,
    TemporaryError,
)
from shared.worker.errors import Conflict, NotFound, Refused, RefusedForNow

LOCKED = "Node 1 is locked by host a, please retry after the current operation is completed."
IN_STATE = (
    'The requested action "deleted" can not be performed on node "1" while it is in state "x".'
)
ALLOCATED = "Cannot remove allocation 2 for node 1, because the node is active (…)"
CHANGING = "Node 1 can not be updated while a state transition is in progress."
MAINTENANCE = (
    "The provisioning operation can't be performed on node 1 because it's in maintenance mode."
)
CASES = [
    (Fault(LOCKED, 409), TemporaryError, Reason.IN_USE),
    (Fault(IN_STATE, 400), TemporaryError, Reason.IN_USE),
    (Fault(ALLOCATED, 409), TemporaryError, Reason.IN_USE),
    (Fault(CHANGING, 409), TemporaryError, Reason.IN_USE),
    (Fault(MAINTENANCE, 400), RefusedForNow, Reason.NODE_MAINTENANCE),
    (Fault("An allocation with name x already exists.", 409), Conflict, Reason.BACKEND_REFUSED),
    (Fault("Node x could not be found.", 404), NotFound, Reason.BACKEND_REFUSED),
    (Fault("Invalid input", 400), Refused, Reason.BACKEND_REFUSED),
    (Fault("No free conductor worker", 503), BackendUnavailable, Reason.BACKEND_UNAVAILABLE),
    (Fault("Policy doesn't allow it", 403), TemporaryError, Reason.BACKEND_REFUSED),
    (Fault("Unauthorized", 401), BackendUnavailable, Reason.BACKEND_UNAVAILABLE),
    (Fault("It can't be reached."), BackendUnavailable, Reason.BACKEND_UNAVAILABLE),
]


@pytest.mark.parametrize(("fault", "kind", "reason"), CASES)
def test_a_fault_is_translated(fault: Fault, kind: type[ColobusError], reason: Reason) -> None:
    """In Ironic's own words."""
    error = translate(fault, changing=True)
    assert type(error) is kind
    assert (error.reason, error.detail) == (reason, fault.detail)


@pytest.mark.parametrize("fault", [Fault("…", 504), Fault("…", unanswered=True)])
def test_only_what_changes_something_may_have_been_done(fault: Fault) -> None:
    """What only looked is just without an answer."""
    assert type(translate(fault, changing=True)) is OutcomeUnknown
    assert type(translate(fault, changing=False)) is BackendUnavailable


def test_ironics_wish_is_passed_on() -> None:
    """Its Retry-After, in seconds; another form of it is left out."""
    for header, seconds in (("7", 7.0), ("tomorrow", None)):
        error = translate(Fault("busy", 503, retry_after=header), changing=False)
        assert isinstance(error, TemporaryError)
        assert error.retry_after == seconds
