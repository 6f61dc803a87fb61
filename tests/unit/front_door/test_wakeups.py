"""Wake-ups, slots and the rate limit: everything per process is bounded."""

from __future__ import annotations

import pytest

from services.front_door.faults import RequestFault
from services.front_door.rate_limit import RateLimit
from services.front_door.wakeups import (
    PROGRESS_BUFFER,
    Slots,
    Wakeups,
    confirm_notified,
    resource_topic,
    status_notified,
    tenant_topic,
)


async def test_a_status_wakes_who_follows_the_resource_or_its_tenant() -> None:
    """And nobody else; an empty notification wakes all, for some may have been missed."""
    wakeups = Wakeups()
    with (
        wakeups.listen(resource_topic("vm-1")) as one,
        wakeups.listen(tenant_topic("bigtop")) as tenant,
        wakeups.listen(resource_topic("vm-2")) as other,
    ):
        status_notified(wakeups)("bigtop vm-1")
        assert [await listener.wait(0) for listener in (one, tenant, other)] == [True, True, False]
        confirm_notified(wakeups)("")
        assert [await listener.wait(0) for listener in (one, tenant, other)] == [True] * 3
    assert not wakeups.has_listeners(resource_topic("vm-1"), tenant_topic("bigtop"))


async def test_a_wakeup_between_looking_and_waiting_is_not_lost() -> None:
    """Who listens before looking misses nothing."""
    wakeups = Wakeups()
    with wakeups.listen("topic") as listener:
        wakeups.wake("topic")
        assert await listener.wait(0)
        assert not await listener.wait(0)


async def test_progress_for_a_slow_client_is_bounded() -> None:
    """The oldest goes first."""
    wakeups = Wakeups()
    with wakeups.listen("topic") as listener:
        for number in range(PROGRESS_BUFFER + 5):
            wakeups.progress(("topic",), b"%d" % number)
        assert len(listener.progress) == PROGRESS_BUFFER
        assert listener.progress[0] == b"5"


def test_slots_are_counted_per_tenant_and_given_back() -> None:
    """Also when what held one fails."""
    slots = Slots("streams", 1)
    with slots.take("a"), slots.take("b"):
        with pytest.raises(RequestFault) as refused, slots.take("a"):
            pass
        assert refused.value.status == 429
    with pytest.raises(ZeroDivisionError), slots.take("a"):
        raise ZeroDivisionError
    assert slots.has_room("a")


def test_the_rate_limit_lets_bursts_pass_and_then_the_rate() -> None:
    """Retry-After says when there will be room."""
    now = [100.0]
    limit = RateLimit(2, 3, clock=lambda: now[0])
    for _ in range(3):
        limit.take("a")
    with pytest.raises(RequestFault) as refused:
        limit.take("a")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
    limit.take("b")
    now[0] += 0.5
    limit.take("a")
    with pytest.raises(RequestFault):
        limit.take("a")
    now[0] += 3600
    for _ in range(3):
        limit.take("a")
