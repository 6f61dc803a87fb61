"""What goes wrong is decided by the seed alone, and a row of seeds misses nothing."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from tests.faults.plan import (
    QUOTAS,
    STACK_QUOTAS,
    Ending,
    machine_plans,
    machine_quotas,
    nodes_for,
    plans,
    stack_plans,
)
from tests.faults.schedule import (
    CABLES,
    COMPONENTS,
    MACHINES,
    MADE,
    METAL_CABLES,
    METAL_COMPONENTS,
    METAL_SERVICES,
    ORCHESTRATORS,
    PAIRS,
    REPLICAS,
    ROW,
    STACK_CABLES,
    STACKS,
    Fault,
    Kind,
    losers,
    schedule,
)
from tests.support.installation import SERVICES


@pytest.mark.parametrize("seed", [1, 17, 100])
def test_a_seed_is_always_the_same(seed: int) -> None:
    """So a failing one can be played again."""
    assert schedule(seed) == schedule(seed)
    assert plans(seed) == plans(seed)
    assert schedule(seed) != schedule(seed + 1)


@pytest.mark.parametrize("first", [1, 11, 91])
def test_ten_seeds_bring_every_kind_of_fault_upon_all_that_it_may_hit(first: int) -> None:
    """What `make test` plays leaves no service, no component and no cable alone."""
    struck = {(f.kind, f.target) for seed in range(first, first + ROW) for f in schedule(seed)}
    processes = itertools.product((Kind.KILL, Kind.PAUSE), (*SERVICES, *COMPONENTS))
    cables = itertools.product((Kind.CUT, Kind.REFUSE, Kind.SILENCE), CABLES)
    assert struck == {*processes, *cables}


@pytest.mark.parametrize("seed", range(1, 31))
def test_no_seed_has_much_more_of_a_kind_than_another(seed: int) -> None:
    """Each has eight faults, some of each kind; so none takes much longer than the others."""
    kinds = Counter(fault.kind for fault in schedule(seed))
    assert kinds.total() == 8
    assert all(1 <= kinds[kind] <= (3 if kind is Kind.KILL else 2) for kind in Kind)


@pytest.mark.parametrize("seed", range(1, 11))
def test_a_schedule_is_in_order_of_time_and_within_the_burst(seed: int) -> None:
    """Nothing is due after the last VM is gone: it would never come."""
    faults = schedule(seed)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert all(0 < fault.at < 1 for fault in faults)


def test_only_nova_killed_or_paused_while_vms_are_made_excuses_a_failed_build() -> None:
    """A schedule that leaves Nova alone, or until all is made, allows no VM to fail."""
    struck = []
    for seed in range(1, 30):
        at = [fault.at for fault in schedule(seed) if fault.target.startswith("nova")]
        struck.append(losers(schedule(seed)))
        assert struck[-1] == ({"nova"} if any(moment <= MADE for moment in at) else set())
    assert {frozenset(), frozenset({"nova"})} == set(struck)


@pytest.mark.parametrize(
    ("who", "target"),
    [
        ("nova", "nova-compute1"),
        ("ironic", "ironic"),
        ("heat", "heat-engine"),
        ("magnum", "magnum-conductor"),
    ],
)
def test_an_excuse_begins_to_hold_with_the_strike(who: str, target: str) -> None:
    """What fails in the making, before its backend is killed, fails by us."""
    early, late = (Fault(at, Kind.KILL, target, 1) for at in (0.66, 0.67))
    assert losers([late]) == set()
    assert losers([early]) == losers([early, late]) == {who}


@pytest.mark.parametrize("seed", range(1, 11))
def test_a_burst_is_more_than_the_quotas_hold_and_what_is_kept_fits(seed: int) -> None:
    """Some wait; and all that is kept can be active together."""
    burst = plans(seed)
    assert len(burst) == 20
    assert len({plan.key for plan in burst}) == 20
    for tenant, quota in QUOTAS.items():
        asked = [plan for plan in burst if plan.tenant == tenant]
        kept = [plan for plan in asked if plan.ending is Ending.KEEP]
        assert len(asked) <= quota["vms"]
        kept_ips, asked_ips = (sum(plan.floating_ip for plan in some) for some in (kept, asked))
        assert kept_ips < quota["floating_ips"] < asked_ips
        assert {plan.ending for plan in asked} == set(Ending)


@pytest.mark.parametrize("first", [1, 4, 91])
def test_three_seeds_of_machines_kill_all_who_make_them(first: int) -> None:
    """And pause, cut off, refuse and silence those that machines need more than VMs do."""
    seeds = range(first, first + MACHINES.row)
    struck = {(f.kind, f.target) for seed in seeds for f in schedule(seed, MACHINES)}
    killed = {(Kind.KILL, target) for target in (*METAL_SERVICES, *METAL_COMPONENTS)}
    cables = itertools.product((Kind.CUT, Kind.REFUSE, Kind.SILENCE), METAL_CABLES)
    paused = {(Kind.PAUSE, target) for target in ("scheduler", "ironic", "tgtd")}
    assert killed | set(cables) | paused <= struck
    assert all(len(schedule(seed, MACHINES)) == 8 for seed in seeds)


def test_the_machines_that_are_always_made_lose_ironic_in_the_making() -> None:
    """Else what it excuses would be tried by nobody."""
    lost = [losers(schedule(seed, MACHINES)) for seed in range(1, MACHINES.row + 1)]
    assert {frozenset(), frozenset({"ironic"})} == set(lost)


@pytest.mark.parametrize("seed", range(1, 7))
def test_more_machines_are_asked_for_than_there_are_nodes(seed: int) -> None:
    """Some wait for one that is given back; and all that is kept can be active together."""
    burst = machine_plans(seed)
    assert burst == machine_plans(seed)
    kept = [plan for plan in burst if plan.ending is Ending.KEEP]
    assert len(kept) < nodes_for() < len(burst)
    for tenant, quota in machine_quotas().items():
        asked = [plan for plan in burst if plan.tenant == tenant]
        assert len(asked) <= quota["machines"]
        assert {plan.ending for plan in asked} == set(Ending)


@pytest.mark.parametrize("first", [1, 3, 91])
def test_two_seeds_of_stacks_kill_all_who_make_them(first: int) -> None:
    """And pause, cut off, refuse and silence those that stacks and clusters need more than VMs."""
    seeds = range(first, first + STACKS.row)
    struck = {(f.kind, f.target) for seed in seeds for f in schedule(seed, STACKS)}
    services = ("scheduler", "stack_worker", "k8s_worker", "front_door", "webhook_worker")
    killed = {(Kind.KILL, who) for who in (*services, *ORCHESTRATORS, "rabbitmq", "postgresql")}
    cables = itertools.product((Kind.CUT, Kind.REFUSE, Kind.SILENCE), STACK_CABLES)
    paused = {(Kind.PAUSE, who) for who in ("stack_worker", "k8s_worker", "heat-engine")}
    assert killed | set(cables) | paused <= struck
    assert all(len(schedule(seed, STACKS)) == 14 for seed in seeds)


def test_what_is_played_kills_heat_and_magnum_while_they_make_something() -> None:
    """Among the seeds that `make test` plays: else nothing is seen of what that costs."""
    seeds = range(1, STACKS.row + 1)
    assert {who for seed in seeds for who in losers(schedule(seed, STACKS))} == {"heat", "magnum"}


@pytest.mark.parametrize("seed", range(1, 7))
def test_stacks_and_clusters_are_asked_for_by_post_and_by_bus_and_what_is_kept_fits(
    seed: int,
) -> None:
    """All endings, and more than a quota holds, so that some wait; what isn't kept has room."""
    burst = stack_plans(seed, {"heat"})
    assert burst == stack_plans(seed, {"heat"})
    assert len({plan.key for plan in burst}) == len(burst) == 9
    assert {plan.ending for plan in burst} == set(Ending)
    asked = Counter((plan.tenant, f"{plan.kind}s") for plan in burst)
    kept = Counter((p.tenant, f"{p.kind}s") for p in burst if p.ending is Ending.KEEP)
    quotas = {(tenant, name): n for tenant, of in STACK_QUOTAS.items() for name, n in of.items()}
    assert all(min(asked[key], kept[key] + 1) <= quotas[key] for key in asked)
    assert any(asked[key] > quotas[key] for key in asked)


@pytest.mark.parametrize("seed", range(1, 11))
def test_each_seed_kills_both_replicas_of_each_service_each_at_a_time_of_its_own(
    seed: int,
) -> None:
    """Once each, within the burst, in order; nothing else is struck."""
    faults = schedule(seed, REPLICAS)
    assert faults == schedule(seed, REPLICAS) == tuple(sorted(faults))
    assert faults != schedule(seed + 1, REPLICAS)
    assert Counter((fault.kind, fault.target) for fault in faults) == Counter(
        (Kind.KILL, f"{service}{replica}") for service in SERVICES for replica in ("", ".2")
    )
    assert set(PAIRS) == {fault.target for fault in faults}
    assert all(0 < fault.at < 1 and fault.seconds > 0 for fault in faults)
    assert losers(faults) == set()


def test_the_replicas_that_are_always_killed_die_while_vms_are_made_and_unmade() -> None:
    """In the seed that `make test` plays."""
    assert {fault.at <= MADE for fault in schedule(1, REPLICAS)} == {True, False}


def test_some_stacks_are_asked_for_by_bus() -> None:
    """In each seed that `make test` plays."""
    for seed in range(1, STACKS.row + 1):
        assert {plan.by_bus for plan in stack_plans(seed, {"heat"})} == {True, False}
