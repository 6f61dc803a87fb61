"""A database is reached with a verified server over TLS, or plainly: nothing in between."""

from __future__ import annotations

import pytest

from shared.runtime.errors import ConfigurationError
from shared.runtime.settings import Secret
from shared.storage.dsn import checked

DSN = "postgresql://u:p%2Fw@db.example.org:5432/colobus"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (DSN, f"{DSN}?sslmode=disable"),
        (f"{DSN}?", f"{DSN}?sslmode=disable"),
        (f"{DSN}?application_name=x", f"{DSN}?application_name=x&sslmode=disable"),
        ("postgresql:///colobus", "postgresql:///colobus?sslmode=disable"),
        (f"{DSN}?sslmode=disable", f"{DSN}?sslmode=disable"),
        (
            f"{DSN}?sslmode=verify-full&sslrootcert=/ca",
            f"{DSN}?sslmode=verify-full&sslrootcert=/ca",
        ),
    ],
)
def test_the_mode_is_always_written_out(given: str, used: str) -> None:
    """No library's default decides, and no PGSSLMODE; all else stays as it was."""
    assert checked(Secret(given), "X") == used


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=allow",
        "sslmode=prefer",
        "sslmode=require",
        "sslmode=verify-ca",
        "sslmode=sometimes",
        "sslmode=",
        "sslmode=verify-full&sslmode=disable",
    ],
)
def test_what_verifies_less_is_refused(query: str) -> None:
    """The operator reads which setting it is; the password is not in it."""
    with pytest.raises(ConfigurationError, match="COLOBUS_X: sslmode=") as refused:
        checked(f"{DSN}?{query}", "COLOBUS_X")
    assert "p%2Fw" not in refused.value.detail
