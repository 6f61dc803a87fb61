"""What Heat and Nova show of a stack, and what is told of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.stack_worker.backend import Part, Stack
from services.stack_worker.observer import MOST_BYTES, MOST_PARTS, observation_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEB = Part("web", "OS::Nova::Server", "CREATE_COMPLETE", "state changed", "server-1")
NET = Part("net", "OS::Neutron::Net", "CREATE_COMPLETE", "state changed", "net-1")


def stack(status: str, reason: str = "") -> Stack:
    return Stack("heat-1", "stack-1", status, reason)


def test_no_stack_is_gone() -> None:
    """With the id that the ledger knows."""
    seen = observation_of(NOW, None, stack_id="heat-1")
    assert (seen.gone, seen.stack_id, seen.stack_status) == (True, "heat-1", None)


@pytest.mark.parametrize(
    ("servers", "unproven"),
    [
        ({"server-1": "ACTIVE"}, ()),
        ({"server-1": "BUILD"}, ("web: BUILD",)),
        ({}, ("web: not found",)),
    ],
)
def test_of_a_complete_stack_each_server_has_to_run(
    servers: dict[str, str], unproven: tuple[str, ...]
) -> None:
    """Nova's word counts, not Heat's; what is no server is Heat's alone to know."""
    seen = observation_of(NOW, stack("CREATE_COMPLETE"), [NET, WEB], servers, {})
    assert seen.unproven == unproven


def test_while_it_changes_nothing_is_said_of_its_servers() -> None:
    """They are not asked for then."""
    assert observation_of(NOW, stack("CREATE_IN_PROGRESS"), [WEB]).unproven == ()


def test_a_failed_part_brings_its_reason_others_none() -> None:
    """Which only repeats that a state has changed."""
    failed = Part("web", "OS::Nova::Server", "CREATE_FAILED", "no host", "")
    seen = observation_of(NOW, stack("CREATE_FAILED", "failed"), [NET, failed])
    assert [part.reason for part in seen.parts] == [None, "no host"]
    assert seen.status_reason == "failed"


def test_what_is_too_large_to_be_told_is_named() -> None:
    """Every status message carries the outputs, so they are bounded."""
    outputs = {"a": 1, "large": "x" * MOST_BYTES, "b": [2]}
    seen = observation_of(NOW, stack("CREATE_COMPLETE"), [], {}, outputs)
    assert (seen.outputs, seen.left_out) == ({"a": 1, "b": [2]}, ("large",))
    many = observation_of(NOW, stack("CREATE_COMPLETE"), [NET] * 1000, {}, outputs)
    assert len(many.parts) == MOST_PARTS
