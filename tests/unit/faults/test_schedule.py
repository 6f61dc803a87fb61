"""What goes wrong is decided by the seed alone, and a row of seeds misses nothing."""

from __future__ import annotations

import pytest

from tests.faults.plan import QUOTAS, Ending, plans
from tests.faults.schedule import COMPONENTS, Kind, schedule, touches_nova
from tests.support.installation import SERVICES


@pytest.mark.parametrize("seed", [1, 17, 100])
def test_a_seed_is_always_the_same(seed: int) -> None:
    """So a failing one can be played again."""
    assert schedule(seed) == schedule(seed)
    assert plans(seed) == plans(seed)
    assert schedule(seed) != schedule(seed + 1)


def test_ten_seeds_kill_everything_and_bring_every_kind_of_fault() -> None:
    """What `make test` plays leaves no service and no component alone."""
    faults = [fault for seed in range(1, 11) for fault in schedule(seed)]
    killed = {fault.target for fault in faults if fault.kind is Kind.KILL}
    assert killed == {*SERVICES, *COMPONENTS}
    assert {fault.kind for fault in faults} == set(Kind)


@pytest.mark.parametrize("seed", range(1, 11))
def test_a_schedule_is_in_order_of_time_and_within_the_burst(seed: int) -> None:
    """Nothing is due after the last VM is gone: it would never come."""
    faults = schedule(seed)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert all(0 < fault.at < 1 for fault in faults)


def test_only_nova_killed_or_paused_excuses_a_failed_build() -> None:
    """A schedule that leaves Nova alone allows no VM to fail."""
    for seed in range(1, 30):
        touched = [str(f) for f in schedule(seed) if f.target.startswith("nova")]
        assert touches_nova(schedule(seed)) == bool(touched)


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
