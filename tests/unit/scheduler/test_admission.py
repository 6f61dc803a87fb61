"""Who may start, and why the others wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.admission import (
    Admission,
    Gate,
    Share,
    Waiting,
    admit,
    shown_position,
)
from services.scheduler.placement import Candidate, Rest
from shared.contract.problems import Problem, Reason

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


def closed(tries: int = 0, seconds: float = 30) -> Gate:
    later = NOW + timedelta(seconds=seconds)
    return Gate(Reason.QUOTA_EXCEEDED, "Quota exceeded: cores", later, tries)


def test_what_the_clouds_quota_refused_waits_until_its_time() -> None:
    """With the cloud's words; then one of the queue tries, and the others wait for its outcome."""
    mine = replace(share(), gates={"c": closed()})
    held = run(waiting("a", 2), {"a": mine}).held
    assert [(one.reason, one.message, one.position) for one in held] == [
        (Reason.QUOTA_EXCEEDED, "Quota exceeded: cores", 1),
        (Reason.QUOTA_EXCEEDED, "Quota exceeded: cores", 2),
    ]
    outcome = run(waiting("a", 9), {"a": mine}, now=NOW + timedelta(seconds=30))
    assert admitted(outcome) == ["a-0"]
    assert outcome.tried == (("a", "c", True),)


def test_for_each_that_ended_one_of_the_refused_may_try() -> None:
    """The first in the queue: no storm, and nobody is passed over."""
    outcome = run(waiting("a", 9), {"a": replace(share(), gates={"c": closed(tries=2)})})
    assert admitted(outcome) == ["a-0", "a-1"]
    assert outcome.tried == (("a", "c", False), ("a", "c", False))
    assert len(outcome.held) == 7


def test_full_on_one_cloud_means_the_other() -> None:
    """A tenant whose quota on the first has no room is placed on the second, which is explained."""
    clouds = {name: Candidate(name, 0, 9) for name in ("c", "d")}
    mine = replace(share(clouds=("c", "d")), gates={"c": closed()})
    ((_, choice),) = admit(waiting("a", 1), {"a": mine}, clouds, NOW).admitted
    assert choice.placement is not None
    assert choice.placement.cloud == "d"
    assert choice.placement.explanation[0] == "c: Quota exceeded: cores"
    assert choice.alternatives == ("c",)


def test_one_that_waits_for_a_resting_cloud_lets_others_pass_to_theirs() -> None:
    """Its clouds are not theirs; on one and the same cloud nobody overtakes."""
    clouds = {
        "arm": Candidate("arm", 0, 9, archs=frozenset({"aarch64"}), rest=Rest("resting")),
        "x86": Candidate("x86", 0, 9, archs=frozenset({"x86_64"})),
    }
    queue = [*waiting("a", 1, arch="aarch64"), replace(waiting("a", 1)[0], id="a-1")]
    outcome = admit(queue, {"a": share(clouds=("arm", "x86"))}, clouds, NOW)
    assert admitted(outcome) == ["a-1"]
    assert [(one.id, one.reason) for one in outcome.held] == [("a-0", Reason.BACKEND_UNAVAILABLE)]


def test_a_cloud_whose_rest_is_over_is_tried_by_one() -> None:
    """The others wait for its outcome."""
    resting = {"c": Candidate("c", 0, 9, rest=Rest("over", over=True))}
    outcome = admit(waiting("a", 3), {"a": share()}, resting, NOW)
    assert admitted(outcome) == ["a-0"]
    assert outcome.probed == ("c",)
    assert {one.reason for one in outcome.held} == {Reason.BACKEND_UNAVAILABLE}


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
    refusal = Problem(title="x", detail="No host.", reason=Reason.NO_VALID_HOST)
    ((one, choice),) = run(waiting("a", 1, refusals={"c": refusal}), {"a": share()}).hopeless
    assert (one, choice.reason) == ("a-0", Reason.NO_VALID_HOST)
    assert choice.message == "c: refused it: no_valid_host: No host."


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
