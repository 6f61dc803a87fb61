"""User data as Nova takes it."""

from __future__ import annotations

import base64

import pytest

from services.vm_worker.user_data import MAX_ENCODED, render
from shared.runtime.errors import PermanentError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJzGz me@home"


def test_nothing_to_say_is_no_user_data() -> None:
    """A VM without keys and user data gets none."""
    assert render([], None) is None


def test_it_is_base64() -> None:
    """Of UTF-8."""
    encoded = render([], "zażółć\r\n")
    assert encoded is not None
    assert base64.b64decode(encoded).decode() == "zażółć\r\n"


def test_more_than_nova_takes_is_refused_with_both_sizes() -> None:
    """The user learns how much there was and how much there may be."""
    limit = MAX_ENCODED // 4 * 3
    assert render([], "x" * limit) is not None
    with pytest.raises(PermanentError, match=rf"{MAX_ENCODED}") as refused:
        render([KEY], "x" * limit)
    assert not refused.value.problem().retryable
