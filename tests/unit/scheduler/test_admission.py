"""Who may start, and why the others wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.admission import Admission, Share, Waiting, admit, shown_position
from services.scheduler.placement import Candidate, place
from shared.contract.problems import Reason

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def waiting(tenant: str, count: int, **fields: object) -> list[Waiting]:
    return [
        Waiting(id=f"{tenant}-{index}", tenant=tenant, demand={"vms": 1}, **fields)  # type: ignore[arg-type]
        for index in range(count)
    ]


def share(
    weight: float = 1, quota: int | None = None, used: int = 0, clouds: tuple[str, ...] = ("c",)
) -> Share:
    return Share(weight, {} if quota is None else {"vms": quota}, {"vms": used}, clouds)


def run(
    queue: list[Waiting], shares: Mapping[str, Share], room: int = 1000, now: datetime = NOW
) -> Admission:
    return admit(queue, shares, {"c": Candidate("c", 0, room)}, now)


def admitted(outcome: Admission) -> list[str]:
    return [one for one, _ in outcome.admitted]


def test_everything_that_fits_starts() -> None:
    """Without limits nobody waits."""
    outcome = run(waiting("a", 3), {"a": share()})
    assert admitted(outcome) == ["a-0", "a-1", "a-2"]
    assert not outcome.held


def test_over_quota_waits_with_reason_and_place_in_its_tenants_queue() -> None:
    """The one that fits starts; the others know why they wait and where they stand."""
    outcome = run(waiting("a", 3), {"a": share(quota=5, used=4)})
    assert admitted(outcome) == ["a-0"]
    assert [(one.id, one.reason, one.position) for one in outcome.held] == [
        ("a-1", Reason.QUOTA_EXCEEDED, 1),
        ("a-2", Reason.QUOTA_EXCEEDED, 2),
    ]
    assert outcome.held[0].message == "5 of 5 vms in use."


def test_one_tenant_at_its_quota_holds_up_nobody_else() -> None:
    """Quota blocks a tenant, not the queue."""
    outcome = run(waiting("a", 2) + waiting("b", 2), {"a": share(quota=0), "b": share()})
    assert admitted(outcome) == ["b-0", "b-1"]


def test_a_burst_by_one_never_starves_another() -> None:
    """With room for four, the late-comer's two start among the first."""
    queue = waiting("a", 50) + waiting("b", 2)
    outcome = run(queue, {"a": share(), "b": share()}, room=4)
    assert admitted(outcome) == ["a-0", "b-0", "a-1", "b-1"]


def test_weights_share_in_proportion() -> None:
    """A weight of three gets three times as much."""
    queue = waiting("a", 50) + waiting("b", 50)
    outcome = run(queue, {"a": share(weight=3), "b": share()}, room=8)
    started = admitted(outcome)
    assert len([one for one in started if one.startswith("a")]) == 6


def test_waiting_for_capacity_is_one_fair_queue() -> None:
    """Positions count over all tenants, in the order in which they will start."""
    outcome = run(waiting("a", 2) + waiting("b", 1), {"a": share(), "b": share()}, room=0)
    assert [(one.id, one.reason, one.position) for one in outcome.held] == [
        ("a-0", Reason.NO_CAPACITY, 1),
        ("b-0", Reason.NO_CAPACITY, 2),
        ("a-1", Reason.NO_CAPACITY, 3),
    ]


def test_what_the_clouds_quota_refused_waits_until_its_time() -> None:
    """And keeps the reason that it had; its tenant's others wait behind it."""
    later = NOW + timedelta(seconds=30)
    queue = waiting("a", 1, not_before=later, reason=Reason.QUOTA_EXCEEDED)
    assert run(queue, {"a": share()}).held[0].reason is Reason.QUOTA_EXCEEDED
    assert admitted(run(queue, {"a": share()}, now=later)) == ["a-0"]


def test_what_the_clouds_quota_refused_may_try_when_something_ended_since() -> None:
    """An end before the refusal was taken into account by it; one after it frees something."""
    later = NOW + timedelta(seconds=30)
    queue = waiting("a", 1, refused_at=NOW, not_before=later, reason=Reason.QUOTA_EXCEEDED)
    before, after = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
    assert not admitted(run(queue, {"a": replace(share(), released_at=before)}, now=after))
    assert admitted(run(queue, {"a": replace(share(), released_at=after)}, now=after)) == ["a-0"]


def test_what_the_whole_quota_could_not_hold_fails_and_holds_nobody_up() -> None:
    """It would wait for ever, and its tenant's queue behind it."""
    large = Waiting(id="a-large", tenant="a", demand={"vms": 1, "floating_ips": 1})
    mine = replace(share(quota=5), quota={"vms": 5, "floating_ips": 0})
    outcome = run([large, *waiting("a", 1)], {"a": mine})
    assert outcome.too_large == (("a-large", "The quota of 0 floating_ips can't hold 1."),)
    assert admitted(outcome) == ["a-0"]
    assert not outcome.held


def test_no_cloud_left_is_hopeless_not_waiting() -> None:
    """Where every cloud has refused, waiting would be for ever."""
    outcome = run(waiting("a", 1, excluded=("c",)), {"a": share()})
    assert outcome.hopeless == ("a-0",)


@given(
    st.lists(st.sampled_from("abc"), max_size=60),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 10)),
    st.integers(0, 40),
)
def test_every_request_has_exactly_one_outcome_within_all_limits(
    tenants: list[str], quotas: dict[str, int], room: int
) -> None:
    """Nobody is forgotten, nobody starts twice, no quota or bound is exceeded, order is kept."""
    queue = [Waiting(f"{t}-{i:03}", t, {"vms": 1}) for i, t in enumerate(tenants)]
    outcome = run(queue, {t: share(quota=quotas.get(t)) for t in "abc"}, room=room)
    started = admitted(outcome)
    too_large = [one for one, _ in outcome.too_large]
    held = [one.id for one in outcome.held]
    assert sorted(started + too_large + held) == sorted(one.id for one in queue)
    assert len(started) <= room
    for tenant in "abc":
        of_tenant = [one for one in started if one.startswith(tenant)]
        assert (
            of_tenant == sorted(one.id for one in queue if one.tenant == tenant)[: len(of_tenant)]
        )
        assert len(of_tenant) <= quotas.get(tenant, len(queue))


@pytest.mark.parametrize(
    ("position", "shown"), [(1, 1), (20, 20), (21, 30), (100, 100), (101, 200), (950, 1000)]
)
def test_positions_far_behind_are_rounded_up(position: int, shown: int) -> None:
    """A long queue isn't published anew at every step forward."""
    assert shown_position(position) == shown


def test_placement_prefers_the_healthy_then_the_roomy_then_the_first() -> None:
    """And explains itself, a line per candidate."""
    sick, full = Candidate("sick", 0, 9, recent_failures=2), Candidate("full", 5, 5)
    small, large = Candidate("small", 3, 5), Candidate("large", 1, 5)
    choice = place([sick, full, small, large])
    assert choice.placement is not None
    assert choice.placement.cloud == "large"
    assert choice.alternatives == ("sick", "full", "small")
    assert choice.placement.explanation[1] == "full: 5 of 5 builds under way"
