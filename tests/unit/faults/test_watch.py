"""An outage counts from its beginning, and a second server while it is there."""

from __future__ import annotations

import asyncio
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
async def test_an_outage_of_the_cloud_ends_no_watch_but_is_told() -> None:
    """It goes on afterwards, and says for how long it saw nothing."""
    out = asyncio.Event()
    in_vain: list[float] = []

    def held() -> list[Held]:
        if out.is_set():
            in_vain.append(time.monotonic())
            raise OSError("the cloud is out")
        return []

    async def two_in_vain() -> bool:
        return len(in_vain) > 1

    watch = Watch(held)
    async with watch.looking():
        out.set()
        await eventually(two_in_vain, what="two looks that see nothing")
        out.clear()
    assert in_vain[-1] - in_vain[0] <= watch.blind <= watch.seconds
    assert watch.most == 0


@pytest.mark.asyncio
async def test_a_watch_that_never_could_look_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would seem that nothing was too many."""
    monkeypatch.setattr("tests.faults.watch.LAST_LOOK", 0)

    def broken() -> list[Held]:
        raise OSError("the cloud is gone")

    with pytest.raises(AssertionError, match="the cloud can be asked"):
        async with Watch(broken).looking():
            pass


@pytest.mark.asyncio
async def test_what_is_no_outage_ends_the_watch() -> None:
    """A fault of the harness is none of the cloud's."""

    def wrong() -> list[Held]:
        raise KeyError("tags")

    with pytest.raises(KeyError, match="tags"):
        async with Watch(wrong).looking():
            pass
