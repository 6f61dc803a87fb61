"""Who may start, and why the others wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.admission import Admission, admit
from services.scheduler.estimates import Return, shown_position
from services.scheduler.placement import Candidate, Rest
from services.scheduler.queues import Gate, Share, Waiting
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Placement, Sort

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def waiting(tenant: str, count: int, **fields: object) -> list[Waiting]:
    return [
        Waiting(id=f"{tenant}-{index}", tenant=tenant, demand={"vms": 1}, **fields)  # type: ignore[arg-type]
        for index in range(count)
    ]


def share(
    weight: float = 1, quota: int | None = None, used: int = 0, clouds: tuple[str, ...] = ("c",)
) -> Share:
    return Share(
        weight, {} if quota is None else {"vms": quota}, {"vms": used}, {Sort.CLOUD: clouds}
    )


def run(
    queue: list[Waiting], shares: Mapping[str, Share], room: int = 1000, now: datetime = NOW
) -> Admission:
    return admit(queue, shares, {"c": Candidate(Placement(cloud="c"), 0, room)}, now)


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


def starts(outcome: Admission) -> list[float | None]:
    """In how many seconds each that waits will start, as it is told."""
    times = [one.estimated_start for one in outcome.held]
    return [None if one is None else (one - NOW).total_seconds() for one in times]


def test_the_next_to_try_a_quota_that_refused_knows_when() -> None:
    """Those behind it wait for its outcome, which nobody knows."""
    mine = replace(share(), gates={"c": closed(seconds=30.7)})
    assert starts(run(waiting("a", 3), {"a": mine})) == [30, None, None]
    tried = run(waiting("a", 3), {"a": mine}, now=NOW + timedelta(seconds=31))
    assert starts(tried) == [None, None]


def test_the_earliest_of_the_clouds_that_refused_counts() -> None:
    """Only of those that may take it, and only when it waits for nothing nearer."""
    clouds = {name: Candidate(Placement(cloud=name), 0, 9) for name in ("c", "d", "e")}
    gates = {"c": closed(seconds=30), "d": closed(seconds=20), "e": closed(seconds=10)}
    mine = replace(share(clouds=("c", "d", "e")), gates=gates)
    queue = waiting("a", 1, refusals={"e": Problem(title="x", reason=Reason.NO_VALID_HOST)})
    assert starts(admit(queue, {"a": mine}, clouds, NOW)) == [20]
    busy = {**clouds, "c": Candidate(Placement(cloud="c"), 9, 9)}
    nearer = replace(mine, gates={"d": gates["d"]})
    assert starts(admit(queue, {"a": nearer}, busy, NOW)) == [None]


def test_while_all_clouds_rest_the_next_knows_when_the_first_is_tried() -> None:
    """One that is being tried may be back any time; it tells nothing of itself."""

    def resting(cloud: str, seconds: float | None) -> Candidate:
        until = None if seconds is None else NOW + timedelta(seconds=seconds)
        return Candidate(
            Placement(cloud=cloud),
            0,
            9,
            rest=Rest("words", over=until is None, tried=True, until=until),
        )

    clouds = {"c": resting("c", 40), "d": resting("d", 15)}
    mine = share(clouds=("c", "d"))
    assert starts(admit(waiting("a", 2), {"a": mine}, clouds, NOW)) == [15, None]
    tried = {"c": resting("c", None), "d": resting("d", None)}
    assert starts(admit(waiting("a", 1), {"a": mine}, tried, NOW)) == [None]


def ends(*seconds: float, **demand: int) -> list[Return]:
    return [Return(NOW + timedelta(seconds=each), demand or {"vms": 1}) for each in seconds]


def test_for_the_tenants_quota_the_queue_waits_for_one_lease_after_the_other() -> None:
    """As far as there are leases."""
    mine = replace(share(quota=3, used=3), returns=ends(10, 20.9))
    assert starts(run(waiting("a", 3), {"a": mine})) == [10, 20, None]
    assert starts(run(waiting("a", 1), {"a": share(quota=3, used=3)})) == [None]


def test_what_starts_now_and_what_is_over_the_quota_wait_for_leases_too() -> None:
    """The first lease to end may not be enough."""
    one_free = replace(share(quota=3, used=2), returns=ends(10))
    assert starts(run(waiting("a", 2), {"a": one_free})) == [10]
    lowered = replace(share(quota=1, used=3), returns=ends(10, 20, 30, 40))
    assert starts(run(waiting("a", 2), {"a": lowered})) == [30, 40]


def test_a_lease_that_gives_back_something_else_does_not_count() -> None:
    """Who waits for an address needs one; those behind can't start before it."""
    mine = Share(
        1, {"vms": 9, "floating_ips": 1}, {"vms": 2, "floating_ips": 1}, {Sort.CLOUD: ("c",)}
    )
    both = {"vms": 1, "floating_ips": 1}
    mine = replace(mine, returns=[*ends(10), *ends(20, **both)])
    queue = [replace(waiting("a", 1)[0], demand=both), replace(waiting("a", 1)[0], id="a-1")]
    assert starts(run(queue, {"a": mine})) == [20, 20]


def test_what_is_going_already_has_no_time_but_counts() -> None:
    """The first waits for it, the second for the lease."""
    mine = replace(share(quota=2, used=2), returns=ends(-5, 20))
    assert starts(run(waiting("a", 2), {"a": mine})) == [None, 20]


def test_far_behind_nothing_is_told_of_the_time() -> None:
    """Each step of the queue would be news to all of it."""
    mine = replace(share(quota=50, used=50), returns=ends(*range(1, 51)))
    assert starts(run(waiting("a", 30), {"a": mine})) == [*range(1, 21), *[None] * 10]


def test_full_on_one_cloud_means_the_other() -> None:
    """A tenant whose quota on the first has no room is placed on the second, which is explained."""
    clouds = {name: Candidate(Placement(cloud=name), 0, 9) for name in ("c", "d")}
    mine = replace(share(clouds=("c", "d")), gates={"c": closed()})
    ((_, choice),) = admit(waiting("a", 1), {"a": mine}, clouds, NOW).admitted
    assert choice.placement is not None
    assert choice.placement.cloud == "d"
    assert choice.placement.explanation[0] == "c: Quota exceeded: cores"
    assert choice.alternatives == ("c",)


def test_one_that_waits_for_a_resting_cloud_lets_others_pass_to_theirs() -> None:
    """Its clouds are not theirs; on one and the same cloud nobody overtakes."""
    clouds = {
        "arm": Candidate(
            Placement(cloud="arm"), 0, 9, archs=frozenset({"aarch64"}), rest=Rest("resting")
        ),
        "x86": Candidate(Placement(cloud="x86"), 0, 9, archs=frozenset({"x86_64"})),
    }
    queue = [*waiting("a", 1, arch="aarch64"), replace(waiting("a", 1)[0], id="a-1")]
    outcome = admit(queue, {"a": share(clouds=("arm", "x86"))}, clouds, NOW)
    assert admitted(outcome) == ["a-1"]
    assert [(one.id, one.reason) for one in outcome.held] == [("a-0", Reason.BACKEND_UNAVAILABLE)]


def test_a_cloud_whose_rest_is_over_is_tried_by_one() -> None:
    """The others wait for its outcome."""
    resting = {"c": Candidate(Placement(cloud="c"), 0, 9, rest=Rest("over", over=True))}
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
