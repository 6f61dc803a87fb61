"""When a cloud is rested, for how long, and what ends it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.census import is_guest
from services.scheduler.cloud_health import (
    PROBE_LIFE,
    Health,
    Sign,
    after_failure,
    after_success,
    sign_in,
)
from services.scheduler.settings import Settings
from services.scheduler.workflows import WORKFLOWS
from shared.contract.messages import (
    ClusterCreateStarted,
    CommandFailed,
    Message,
    StackCreateStarted,
)
from shared.contract.problems import Problem, Reason
from shared.runtime.settings import Secret

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SETTINGS = Settings(
    installation_id="test",
    amqp_urls=(Secret("amqp://x"),),
    http_port=1,
    database_dsn=Secret("x"),
    tenants_file=Path("x"),
    rest_failures=3,
    rest_within_seconds=60,
    rest_seconds=10,
    rest_most_seconds=35,
)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def failing(*seconds: float, health: Health | None = None) -> Health:
    health = health or Health("c")
    for moment in seconds:
        health = after_failure(health, at(moment), SETTINGS)
    return health


def test_so_many_failures_without_a_success_between_rest_a_cloud() -> None:
    """And its rest says until when, and after what."""
    assert failing(0, 1).rest(at(1)) is None
    rest = failing(0, 1, 2).rest(at(2))
    assert rest is not None
    assert rest.words == "resting until 12:00:12 UTC after 3 failures"
    assert not rest.over


def test_a_success_between_starts_the_count_anew() -> None:
    """A cloud that makes things is not resting."""
    assert failing(2, 3, health=after_success(failing(0, 1))).rest(at(3)) is None


def test_failures_far_apart_rest_nothing() -> None:
    """Only so many within so long."""
    assert failing(0, 1, 61).rest(at(61)) is None


def test_what_fails_on_a_resting_cloud_does_not_make_its_rest_longer() -> None:
    """What is under way there is tried again and again."""
    assert failing(0, 1, 2, 3, 4, 5).resting_until == at(12)


def test_after_the_rest_one_may_try_and_then_nobody() -> None:
    """Until its outcome is known, or nothing was heard of it for long."""
    health = failing(0, 1, 2)
    rest = health.rest(at(12))
    assert rest is not None
    assert (rest.over, rest.tried, health.rests_at(at(12))) == (True, False, False)
    probed = Health(**{**vars(health), "probed_at": at(12)})
    rest = probed.rest(at(13))
    assert rest is not None
    assert (rest.tried, probed.rests_at(at(13))) == (True, True)
    assert not probed.rests_at(at(12) + PROBE_LIFE)


def test_a_trial_that_fails_rests_it_twice_as_long_up_to_a_bound() -> None:
    """10, 20, 35, 35 seconds."""
    health, moment, rests = failing(0, 1), 2.0, []
    for _ in range(4):
        health = failing(moment, health=health)
        assert health.resting_until is not None
        rests.append((health.resting_until - at(moment)).total_seconds())
        moment += rests[-1]
    assert rests == [10, 20, 35, 35]


def test_a_trial_that_succeeds_ends_it_and_what_led_to_it() -> None:
    """It is as good as any other cloud again."""
    health = after_success(failing(0, 1, 2))
    assert health.rest(at(13)) is None
    assert health.recent(at(13)) == 0


def test_recent_failures_are_forgotten_after_a_while() -> None:
    """They count for placement, for five minutes."""
    health = failing(0, 1)
    assert (health.recent(at(2)), health.recent(at(400))) == (2, 0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=40))
def test_it_rests_only_after_enough_failures_in_a_row(history: list[tuple[bool, float]]) -> None:
    """Whatever comes: never before, and never longer than the bound."""
    health, now, row = Health("c"), 0.0, 0
    for failed, pause in history:
        now += pause
        health = failing(now, health=health) if failed else after_success(health)
        row = row + 1 if failed else 0
        if row < SETTINGS.rest_failures:
            assert health.rest(at(now)) is None
        if health.resting_until is not None:
            assert health.resting_until - at(now) <= timedelta(seconds=35)


def refused(reason: Reason, command: str = "ProvisionStack") -> Message:
    problem = Problem(title="x", reason=reason)
    return CommandFailed(command=command, problem=problem, retryable=False)


@pytest.mark.parametrize(
    ("event", "hosts", "guests"),
    [
        (refused(Reason.BACKEND_UNAVAILABLE), Sign.FAILURE, None),
        (refused(Reason.BACKEND_TIMEOUT), Sign.FAILURE, None),
        (refused(Reason.TEMPLATE_INVALID), Sign.ALIVE, Sign.ALIVE),
        (refused(Reason.TEMPLATE_INVALID, "DeprovisionStack"), None, None),
        (StackCreateStarted(stack_id="heat-1"), Sign.SUCCESS, Sign.ALIVE),
        (refused(Reason.VERSION_NOT_FOUND, "ProvisionCluster"), Sign.ALIVE, Sign.ALIVE),
        (ClusterCreateStarted(cluster_id="m-1", template_id="t"), Sign.SUCCESS, Sign.ALIVE),
    ],
)
def test_what_heat_can_not_do_rests_no_cloud_and_what_it_does_ends_a_rest(
    event: Message, hosts: Sign | None, guests: Sign | None
) -> None:
    """VMs don't need it; and that it takes a stack says nothing of Nova's failures."""
    assert sign_in(event) is hosts
    assert sign_in(event, guest=True) is guests


def test_a_guest_is_whose_places_are_anothers_first_of_all() -> None:
    """Of clouds, the vm_worker's."""
    assert WORKFLOWS["stack"].worker_of("stack") == "stack_worker"
    assert WORKFLOWS["stack"].worker_of("operation-op-1") == "stack_worker"
    assert is_guest("stack_worker")
    assert is_guest("k8s_worker")
    assert not is_guest("vm_worker")
    assert not is_guest("iscsi_worker")
