from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.vm_worker.cloud_objects import FloatingIp, Port, Server
from services.vm_worker.observer import observation_of
from shared.contract.messages import VmObserved
from shared.contract.problems import Problem

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PORT = Port("p", "vm-1", "n", "02:00:00:00:00:01", "ACTIVE", "", "s", ("10.0.0.5",))
FLOATING_IP = FloatingIp("f", "203.0.113.9", "p")


def test_no_server_is_gone() -> None:
    """The id that was asked for is named."""
    expected = VmObserved(observed_at=NOW, server_id="s", gone=True)
    assert observation_of(NOW, None, server_id="s") == expected


def test_a_running_server_is_seen_with_port_and_floating_ip() -> None:
    """Everything that `active` has to prove."""
    server = Server("s", "n", "ACTIVE", addresses=("10.9.9.9",), launched_at=NOW)
    assert observation_of(NOW, server, PORT, FLOATING_IP) == VmObserved(
        observed_at=NOW,
        server_id="s",
        server_status="ACTIVE",
        port_status="ACTIVE",
        addresses=("10.0.0.5",),
        floating_ip_port_id="p",
        floating_ip_address="203.0.113.9",
        launched_at=NOW,
    )


def test_a_port_that_was_taken_off_a_running_server_is_lost() -> None:
    """Nova does that to whichever server has the port when it gives up a second one."""
    server, free = Server("s", "n", "ACTIVE"), replace(PORT, status="DOWN", device_id="")
    assert observation_of(NOW, server, free).port_lost
    assert not observation_of(NOW, server, PORT).port_lost
    assert not observation_of(NOW, server, free, notified=True).port_lost


def test_beside_another_server_a_running_one_proves_nothing() -> None:
    """What becomes of the port is open until the other is gone."""
    server = Server("s", "n", "ACTIVE")
    for port in (PORT, replace(PORT, status="DOWN", device_id="")):
        seen = observation_of(NOW, server, port, alone=False)
        assert (seen.server_status, seen.port_status, seen.port_lost) == ("ACTIVE", None, False)
        assert seen.beside


def test_what_was_not_asked_is_none() -> None:
    """A server that is building says nothing of its port."""
    seen = observation_of(NOW, Server("s", "n", "BUILD", task_state="spawning"))
    assert (seen.server_status, seen.task_state) == ("BUILD", "spawning")
    assert (seen.port_status, seen.floating_ip_port_id, seen.fault) == (None, None, None)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("No valid host was found. There are not enough hosts available.", "no_valid_host"),
        ("Exceeded maximum number of retries. No Valid Host was found.", "no_valid_host"),
        ("simulated spawn failure", "build_failed"),
        (
            "Quota exceeded for instances: Requested 0, but already used 2 of 1 instances",
            "quota_exceeded",
        ),
        (
            "Project 1f is over a limit for [Resource servers is over limit of 1 due to current"
            " usage 2 and delta 0]",
            "quota_exceeded",
        ),
    ],
)
def test_an_error_comes_with_novas_own_fault(fault: str, reason: str) -> None:
    """Either way the same request may succeed later."""
    seen = observation_of(NOW, Server("s", "n", "ERROR", fault=fault))
    assert isinstance(seen.fault, Problem)
    assert (seen.fault.reason, seen.fault.detail) == (reason, fault)
    assert seen.fault.retryable


def test_an_error_for_which_nova_gives_no_reason_has_none() -> None:
    """It may pass: a compute host that was killed goes on with what it was at."""
    assert observation_of(NOW, Server("s", "n", "ERROR")).fault is None


def test_an_old_fault_of_a_server_that_recovered_is_not_told() -> None:
    """Nova keeps faults for ever; only of a server in ERROR do they matter."""
    assert observation_of(NOW, Server("s", "n", "ACTIVE", fault="once upon a time")).fault is None
