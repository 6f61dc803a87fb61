"""An outage counts from its beginning, and a second server while it is there."""

from __future__ import annotations

import time

import pytest

from tests.faults.facts import Held
from tests.faults.watch import Pause, Watch
from tests.support.conditions import eventually
from tests.support.installation import free_ports
from tests.support.webhooks import receiving


@pytest.mark.asyncio
async def test_an_outage_that_is_not_over_counts() -> None:
    """Where nobody ever answers, the whole time was an outage."""
    pause = Pause(f"http://127.0.0.1:{free_ports(1)[0]}/", "none")
    assert pause.longest == 0
    async with pause.measuring():
        pass
    assert pause.longest > 0


@pytest.mark.asyncio
async def test_only_a_good_answer_ends_an_outage() -> None:
    """A front door that answers 503 is shut for as long as it does."""
    async with receiving() as receiver:
        receiver.always_answers(503)
        pause = Pause(receiver.url(), "none")
        begun = time.monotonic()
        async with pause.measuring():
            await receiver.until_received(2)
            shut = time.monotonic() - begun
            receiver.always_answers(200)
            await receiver.until_received(5)
    assert pause.longest > shut / 2


@pytest.mark.asyncio
async def test_a_second_server_is_counted_until_it_is_gone() -> None:
    """One that serves the same VM is one too many; one of each VM isn't."""
    one, second, other = (
        Held("server", "server-1", "vm-1"),
        Held("server", "server-2", "vm-1"),
        Held("server", "server-3", "vm-2"),
    )
    now = [one, second, other]
    watch = Watch(lambda: list(now))

    async def seen() -> bool:
        return watch.most == 1

    async with watch.looking():
        await eventually(seen, what="a look")
        assert watch.now == 1
        now.remove(second)
    assert (watch.most, watch.now) == (1, 0)


@pytest.mark.asyncio
async def test_a_watch_that_could_not_look_says_so() -> None:
    """Else it would seem that nothing was too many."""

    def broken() -> list[Held]:
        raise OSError("the cloud is gone")

    with pytest.raises(OSError, match="the cloud is gone"):
        async with Watch(broken).looking():
            pass
