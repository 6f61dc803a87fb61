"""How much is under way at once, and for whom."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.webhook_worker.lanes import Lanes, lane_of


class Clock:
    """A clock that the test turns."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def lanes(overall: int = 100, per_tenant: int = 50, per_lane: int = 8) -> tuple[Lanes, Clock]:
    clock = Clock()
    made = Lanes(overall=overall, per_tenant=per_tenant, per_lane=per_lane, clock=clock)
    return made, clock


@pytest.mark.parametrize(
    ("url", "lane"),
    [
        ("http://example.com/a", "t/example.com:80"),
        ("https://EXAMPLE.com./b", "t/example.com:443"),
        ("https://example.com:8443/", "t/example.com:8443"),
        ("http://[2606:4700::1111]/", "t/2606:4700::1111:80"),
    ],
)
def test_a_lane_is_a_tenants_endpoint_host(url: str, lane: str) -> None:
    """Paths and spellings of a host don't make more of it."""
    assert lane_of("t", url) == lane


def test_a_lane_gets_no_more_than_its_slots() -> None:
    """An endpoint isn't flooded."""
    bounds, _ = lanes()
    for _ in range(5):
        bounds.take("t/a:80")
    assert bounds.allowances(["t/a:80", "t/b:80"]) == {"t/a:80": 3, "t/b:80": 8}
    bounds.give_back("t/a:80")
    assert bounds.allowances(["t/a:80"]) == {"t/a:80": 4}


def test_a_failing_lane_gets_one_slot_until_it_succeeds() -> None:
    """Timeouts of a dead endpoint take no more than one slot."""
    bounds, _ = lanes()
    bounds.failed("t/a:80", None)
    assert bounds.allowances(["t/a:80"]) == {"t/a:80": 1}
    bounds.take("t/a:80")
    assert bounds.allowances(["t/a:80"]) == {}
    bounds.give_back("t/a:80")
    bounds.succeeded("t/a:80")
    assert bounds.allowances(["t/a:80"]) == {"t/a:80": 8}


def test_a_lane_rests_as_long_as_its_endpoint_asked() -> None:
    """Retry-After holds for the endpoint, not only for the one message, within bounds."""
    bounds, clock = lanes()
    bounds.failed("t/a:80", 60)
    bounds.failed("t/b:80", 1e9)
    assert bounds.allowances(["t/a:80", "t/b:80"]) == {}
    assert bounds.next_rest_ends() == 60
    clock.now = 60
    assert bounds.allowances(["t/a:80", "t/b:80"]) == {"t/a:80": 1}
    clock.now = 3600
    assert bounds.allowances(["t/b:80"]) == {"t/b:80": 1}
    assert bounds.next_rest_ends() is None


def test_one_tenant_never_takes_all() -> None:
    """However many endpoints a tenant has, the others get through."""
    bounds, _ = lanes(overall=100, per_tenant=20)
    greedy = [f"greedy/{n}:80" for n in range(50)]
    allowed = bounds.allowances([*greedy, "modest/a:80"])
    assert sum(allowed[lane] for lane in allowed if lane.startswith("greedy/")) == 20
    assert allowed["modest/a:80"] == 8


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=9, unique=True),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.booleans()), max_size=30),
    st.integers(1, 30),
    st.integers(1, 20),
    st.integers(1, 8),
)
def test_no_bound_is_ever_exceeded(
    due: list[tuple[str, str]],
    history: list[tuple[str, str, bool]],
    overall: int,
    per_tenant: int,
    per_lane: int,
) -> None:
    """Overall, per tenant and per lane, whatever is under way and whatever is due."""
    bounds, _ = lanes(overall, per_tenant, per_lane)
    under_way: Counter[str] = Counter()
    for tenant, host, fails in history:
        lane = f"{tenant}/{host}"
        if fails:
            bounds.failed(lane, None)
        if bounds.allowances([lane]):
            bounds.take(lane)
            under_way[lane] += 1
    for lane, number in bounds.allowances([f"{tenant}/{host}" for tenant, host in due]).items():
        assert number > 0
        under_way[lane] += number
    assert under_way.total() <= overall
    assert all(number <= per_lane for number in under_way.values())
    for tenant in "abc":
        own = sum(n for lane, n in under_way.items() if lane.startswith(f"{tenant}/"))
        assert own <= per_tenant


def test_many_failing_lanes_are_forgotten_in_the_end() -> None:
    """Memory is bounded, whatever endpoints tenants think up."""
    bounds, _ = lanes()
    for number in range(10_001):
        bounds.failed(f"t/{number}:80", None)
    assert bounds.allowances(["t/0:80"]) == {"t/0:80": 8}
    assert bounds.allowances(["t/1:80"]) == {"t/1:80": 1}
