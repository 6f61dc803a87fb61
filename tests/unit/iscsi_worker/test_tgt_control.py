"""What tgtd only shows is asked for once for all who wait, and never shown to who asked later."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.iscsi_worker.stores_file import TgtAccess
from services.iscsi_worker.tgt_control import TgtControl
from services.iscsi_worker.tgt_protocol import SHOW_TARGETS, Order, delete_target
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable

SHOW = SHOW_TARGETS
ORDER = delete_target(1)


class Tgtd(TgtControl):
    """Carries orders out when it is let; ``ran`` is all that was run."""

    def __init__(self, seconds: float = 5) -> None:
        access = TgtAccess(socket=Path("/nowhere"), portals=("127.0.0.1:3260",))
        super().__init__("rack", access, seconds=seconds)
        self.ran: list[Order] = []
        self.let = asyncio.Event()

    async def _run(self, order: Order) -> str:
        self.ran.append(order)
        number = len(self.ran)
        await self.let.wait()
        return f"answer {number}"

    def asked(self, order: Order) -> asyncio.Task[str]:
        return asyncio.create_task(self(Deadline.after(60), order))


async def _all_have_asked() -> None:
    for _ in range(5):  # whatever could go on, does
        await asyncio.sleep(0)


async def test_all_who_wait_share_one_look() -> None:
    """While as many orders as may be are carried out, three ask: tgtd is asked once."""
    tgtd = Tgtd()
    orders = [tgtd.asked(ORDER) for _ in range(4)]
    await _all_have_asked()
    looks = [tgtd.asked(SHOW) for _ in range(3)]
    await _all_have_asked()
    assert tgtd.ran == [ORDER] * 4
    tgtd.let.set()
    assert await asyncio.gather(*looks) == ["answer 5"] * 3
    assert await asyncio.gather(*orders) == [f"answer {number}" for number in (1, 2, 3, 4)]
    assert tgtd.ran == [*[ORDER] * 4, SHOW]


async def test_who_asks_when_it_has_begun_gets_a_look_of_his_own() -> None:
    """What he has ordered just before may not be in the one that is under way."""
    tgtd = Tgtd()
    early = tgtd.asked(SHOW)
    await _all_have_asked()
    assert tgtd.ran == [SHOW]
    late = tgtd.asked(SHOW)
    await _all_have_asked()
    tgtd.let.set()
    assert (await early, await late) == ("answer 1", "answer 2")


async def test_who_gives_up_leaves_it_to_the_others() -> None:
    """A command whose time is over takes nobody else's answer away."""
    tgtd = Tgtd()
    first, second = tgtd.asked(SHOW), tgtd.asked(SHOW)
    await _all_have_asked()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    tgtd.let.set()
    assert await second == "answer 1"


async def test_a_look_that_never_began_is_not_waited_for_again() -> None:
    """A tgtd that hangs is asked anew by who comes later."""
    tgtd = Tgtd(seconds=0.05)
    hanging = [tgtd.asked(ORDER) for _ in range(4)]
    told = await asyncio.gather(*hanging, tgtd.asked(SHOW), return_exceptions=True)
    assert all(isinstance(one, Exception) for one in told[:4])
    tgtd.let.set()
    assert (await tgtd.asked(SHOW)).startswith("answer")


async def test_all_who_share_are_told_the_fault() -> None:
    """And who asks later tries anew."""
    tgtd = Tgtd(seconds=0.05)
    told = await asyncio.gather(tgtd.asked(SHOW), tgtd.asked(SHOW), return_exceptions=True)
    assert [type(one) for one in told] == [BackendUnavailable] * 2
    with pytest.raises(BackendUnavailable):
        await tgtd.asked(SHOW)
