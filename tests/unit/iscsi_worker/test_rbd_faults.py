"""What Ceph's error numbers mean: what may be tried again."""

from __future__ import annotations

import errno

import pytest

from services.iscsi_worker.rbd_faults import Fault, translate
from shared.contract.problems import Reason
from shared.runtime.errors import BackendUnavailable, OutcomeUnknown, TemporaryError
from shared.worker.errors import Conflict, NotFound, Refused

LOOKED = [
    (errno.ENOENT, NotFound),
    (errno.EEXIST, Conflict),
    (errno.EBUSY, Conflict),
    (errno.ENOTEMPTY, Conflict),
    (errno.EROFS, Conflict),
    (errno.EINVAL, Refused),
    (errno.EOPNOTSUPP, Refused),
    (errno.ETIMEDOUT, BackendUnavailable),
    (errno.ESHUTDOWN, BackendUnavailable),
    (errno.ENOTCONN, BackendUnavailable),
    (None, BackendUnavailable),
    (errno.ENOSPC, TemporaryError),
    (errno.EDQUOT, TemporaryError),
    (errno.EPERM, TemporaryError),
    (errno.EXDEV, TemporaryError),
]


@pytest.mark.parametrize(("number", "kind"), LOOKED)
def test_each_number_has_its_meaning(number: int | None, kind: type[Exception]) -> None:
    """With Ceph's own words."""
    error = translate(Fault("in Ceph's words", number))
    assert type(error) is kind
    assert error.detail == "in Ceph's words"


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.ESHUTDOWN, None])
def test_a_change_that_was_not_answered_may_yet_be_done(number: int | None) -> None:
    """The next attempt looks first."""
    assert type(translate(Fault("", number, changes=True))) is OutcomeUnknown
    assert Fault("", number).connection_lost


def test_a_full_store_has_no_capacity() -> None:
    """Which passes, when somebody makes room."""
    assert translate(Fault("", errno.ENOSPC)).reason == Reason.NO_CAPACITY
    assert not Fault("", errno.ENOSPC).connection_lost
