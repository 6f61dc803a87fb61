"""Errors and what the public reads of them."""

from __future__ import annotations

import pytest

from shared.contract.problems import Problem, Reason
from shared.runtime.errors import (
    BackendUnavailable,
    ColobusError,
    ConfigurationError,
    PermanentError,
    TemporaryError,
)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (
            TemporaryError("busy", reason=Reason.BACKEND_TIMEOUT, retry_after=3),
            Problem(
                title="Backend timeout", detail="busy", reason="backend_timeout", retryable=True
            ),
        ),
        (
            PermanentError("no such image", reason="image_not_found", status=422),
            Problem(
                title="Image not found",
                detail="no such image",
                reason="image_not_found",
                status=422,
            ),
        ),
        (PermanentError("no"), Problem(title="Permanent failure", detail="no")),
        (
            TemporaryError("no", title="Not now"),
            Problem(title="Not now", detail="no", retryable=True),
        ),
        (
            BackendUnavailable("gone"),
            Problem(
                title="Backend unavailable",
                detail="gone",
                reason="backend_unavailable",
                status=503,
                retryable=True,
            ),
        ),
    ],
)
def test_an_error_is_a_problem(error: ColobusError, problem: Problem) -> None:
    """Reason, title, retryable: what a requester may read and a program can decide on."""
    assert error.problem() == problem


def test_the_answerer_may_choose_the_status() -> None:
    """The same error is another HTTP status elsewhere."""
    assert PermanentError("no", status=400).problem(409).status == 409


def test_kinds_of_errors_are_told_apart() -> None:
    """What passes is temporary, what an operator must mend is permanent."""
    assert issubclass(BackendUnavailable, TemporaryError)
    assert issubclass(ConfigurationError, PermanentError)
    assert not issubclass(TemporaryError, PermanentError)
    assert str(TemporaryError("the text")) == "the text"
