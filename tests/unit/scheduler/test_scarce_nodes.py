"""Who gets a node of which there was none free: the next of all tenants that wants such a one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.admission import Admission, admit
from services.scheduler.placement import Candidate
from services.scheduler.queues import Gate, Nodes, Share, Waiting
from shared.contract.problems import Reason
from shared.contract.resources import Placement, Sort

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LAB = Candidate(Placement(metal="lab", store="rack"), 0, 100, archs=frozenset({"x86_64"}))
BIG, SMALL = Nodes("lab", "big"), Nodes("lab", "small")


def machines(tenant: str, *flavors: str, **fields: Any) -> list[Waiting]:
    return [
        Waiting(f"{tenant}-{index}", tenant, {"machines": 1}, flavor=one, kind="machine", **fields)
        for index, one in enumerate(flavors)
    ]


def share(weight: float = 1, used: int = 0, metals: tuple[str, ...] = ("lab",)) -> Share:
    return Share(weight, {}, {"machines": used}, {Sort.METAL: metals, Sort.CLOUD: ("c",)})


def closed(tries: int = 0, seconds: float = 30) -> Gate:
    later = NOW + timedelta(seconds=seconds)
    return Gate(Reason.NO_FREE_NODE, "None of 2 such nodes is free.", later, tries)


def run(
    queue: list[Waiting],
    scarce: Mapping[Nodes, Gate],
    shares: Mapping[str, Share] | None = None,
    *clouds: Candidate,
) -> Admission:
    places = {one.place: one for one in (LAB, *clouds)}
    shares = shares or {one.tenant: share() for one in queue}
    return admit(queue, shares, places, NOW, scarce)


def admitted(outcome: Admission) -> list[str]:
    return [one for one, _ in outcome.admitted]


def told(outcome: Admission) -> list[tuple[str, Reason, int]]:
    return [(one.id, one.reason, one.position) for one in outcome.held]


def test_who_waits_for_a_large_node_lets_its_tenants_small_ones_pass() -> None:
    """It stands first for what it wants, with the metal's words."""
    outcome = run(machines("a", "big", "small", "big", "small"), {BIG: closed()})
    assert admitted(outcome) == ["a-1", "a-3"]
    assert told(outcome) == [("a-0", Reason.NO_FREE_NODE, 1), ("a-2", Reason.NO_FREE_NODE, 2)]
    assert outcome.held[0].message == "None of 2 such nodes is free."


def test_other_kinds_pass_too() -> None:
    """A VM of a flavor called the same is on a cloud."""
    vm = Waiting("a-vm", "a", {"vms": 1}, flavor="big")
    cloud = Candidate(Placement(cloud="c"), 0, 9)
    outcome = run([*machines("a", "big"), vm], {BIG: closed()}, None, cloud)
    assert admitted(outcome) == ["a-vm"]


def test_an_arch_is_a_queue_of_its_own() -> None:
    """Of the same flavor."""
    arm = machines("a", "big", arch="aarch64")
    x86 = machines("b", "big", arch="x86_64")
    lab = replace(LAB, archs=frozenset({"x86_64", "aarch64"}))
    outcome = run([*arm, *x86], {Nodes("lab", "big", "aarch64"): closed()}, None, lab)
    assert admitted(outcome) == ["b-0"]
    assert told(outcome) == [("a-0", Reason.NO_FREE_NODE, 1)]


def test_those_of_all_tenants_stand_in_one_queue_for_each_sort_of_node() -> None:
    """Each counts for itself, in fair order; only the first is told when the next may try."""
    queue = machines("a", "big", "small", "big") + machines("b", "big", "small")
    outcome = run(queue, {BIG: closed(seconds=20), SMALL: closed(seconds=40)})
    assert told(outcome) == [
        ("a-0", Reason.NO_FREE_NODE, 1),
        ("b-0", Reason.NO_FREE_NODE, 2),
        ("a-2", Reason.NO_FREE_NODE, 3),
        ("a-1", Reason.NO_FREE_NODE, 1),
        ("b-1", Reason.NO_FREE_NODE, 2),
    ]
    starts = [one.estimated_start for one in outcome.held]
    first, second = NOW + timedelta(seconds=20), NOW + timedelta(seconds=40)
    assert starts == [first, None, None, second, None]


def test_a_node_that_was_given_back_goes_to_whoever_holds_least() -> None:
    """Not to whose it was, nor to who asked first, where another tenant has less."""
    queue = machines("a", "big", "big") + machines("b", "big")
    shares = {"a": share(used=3), "b": share(used=1)}
    outcome = run(queue, {BIG: closed(tries=1)}, shares)
    assert admitted(outcome) == ["b-0"]
    assert outcome.tried_nodes == ((BIG, False),)
    assert told(outcome) == [("a-0", Reason.NO_FREE_NODE, 1), ("a-1", Reason.NO_FREE_NODE, 2)]


def test_nodes_are_shared_by_weight() -> None:
    """A weight of three gets three of four, and the queue says so beforehand."""
    flavors = ["big"] * 8
    queue = machines("a", *flavors) + machines("b", *flavors)
    shares = {"a": share(weight=3), "b": share()}
    assert sorted(admitted(run(queue, {BIG: closed(tries=8)}, shares))) == [
        *(f"a-{index}" for index in range(6)),
        *(f"b-{index}" for index in range(2)),
    ]
    held = run(queue, {BIG: closed()}, shares).held
    first = [one.id for one in held if one.position <= 8]
    assert len([one for one in first if one.startswith("a")]) == 6


def test_when_it_is_time_one_of_all_tenants_tries() -> None:
    """The others wait for its outcome, and nobody knows when that is."""
    queue = machines("a", "big") + machines("b", "big")
    outcome = run(queue, {BIG: closed(seconds=0)})
    assert admitted(outcome) == ["a-0"]
    assert outcome.tried_nodes == ((BIG, True),)
    assert told(outcome) == [("b-0", Reason.NO_FREE_NODE, 1)]
    assert outcome.held[0].estimated_start is None


def test_what_one_metal_has_none_of_another_may_have() -> None:
    """Its gate is another one; where all are closed, the earliest counts."""
    barn = Candidate(Placement(metal="barn", store="rack"), 0, 9)
    shares = {"a": share(metals=("lab", "barn"))}
    ((_, choice),) = run(machines("a", "big"), {BIG: closed()}, shares, barn).admitted
    assert choice.placement is not None
    assert choice.placement.metal == "barn"
    assert choice.placement.explanation[0] == "lab: None of 2 such nodes is free."
    both = {BIG: closed(seconds=30), Nodes("barn", "big"): closed(seconds=10)}
    (held,) = run(machines("a", "big"), both, shares, barn).held
    assert held.estimated_start == NOW + timedelta(seconds=10)


def test_a_metal_that_had_none_of_late_comes_behind_one_that_has_not_said_so() -> None:
    """Though it may be tried again: it would be a detour. But not behind one that keeps failing."""
    barn = Candidate(Placement(metal="barn", store="rack"), building=5, limit=9)
    shares = {"a": share(metals=("lab", "barn"))}
    ((_, choice),) = run(machines("a", "big"), {BIG: closed(tries=1)}, shares, barn).admitted
    assert choice.placement is not None
    assert choice.placement.metal == "barn"
    assert choice.placement.explanation[0] == (
        "lab: not chosen: room for 100 of 100 builds, 0 recent failures, had no free node of late"
    )
    failing = replace(barn, recent_failures=1)
    outcome = run(machines("a", "big"), {BIG: closed(tries=1)}, shares, failing)
    assert outcome.tried_nodes == ((BIG, False),)


def test_its_tenants_own_refusal_is_what_it_waits_for_first() -> None:
    """The cloud of its port has no address for it: the node goes to who can use it."""
    quota = Gate(Reason.ADDRESSES_EXHAUSTED, "No more addresses", NOW + timedelta(seconds=9))
    shares = {"a": replace(share(), gates={"lab": quota}), "b": share(used=5)}
    queue = machines("a", "big") + machines("b", "big")
    outcome = run(queue, {BIG: closed(tries=1)}, shares)
    assert admitted(outcome) == ["b-0"]
    assert told(outcome) == [("a-0", Reason.ADDRESSES_EXHAUSTED, 1)]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["big", "small"])), max_size=40),
    st.dictionaries(st.sampled_from(["big", "small"]), st.integers(0, 6)),
)
def test_no_more_try_than_may_and_none_overtakes_its_own(
    wanted: list[tuple[str, str]], tries: dict[str, int]
) -> None:
    """Of each sort: as many as there are tries for; within one tenant in the order of arrival."""
    queue = [
        Waiting(f"{tenant}-{index:03}", tenant, {"machines": 1}, flavor=flavor, kind="machine")
        for index, (tenant, flavor) in enumerate(wanted)
    ]
    shares = {tenant: share() for tenant in "abc"}
    outcome = run(queue, {Nodes("lab", one): closed(n) for one, n in tries.items()}, shares)
    started = admitted(outcome)
    assert sorted([*started, *(one.id for one in outcome.held)]) == [
        one.id for one in sorted(queue, key=lambda each: each.id)
    ]
    for flavor in ("big", "small"):
        of_flavor = [one for one in queue if one.flavor == flavor]
        most = tries.get(flavor, len(of_flavor))
        assert len([one for one in of_flavor if one.id in started]) == min(most, len(of_flavor))
        for tenant in "abc":
            mine = [one.id in started for one in of_flavor if one.tenant == tenant]
            assert mine == sorted(mine, reverse=True)
