"""What tgtd only shows is asked for once for all who wait, and never shown to who asked later."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from services.iscsi_worker.stores_file import TgtAccess
from services.iscsi_worker.tgt_control import TgtControl
from services.iscsi_worker.tgt_protocol import ANSWER, SHOW_TARGETS, Order, delete_target
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
    tgtd = Tgtd(seconds=0.5)
    hanging = [tgtd.asked(ORDER) for _ in range(4)]
    told = await asyncio.gather(*hanging, tgtd.asked(SHOW), return_exceptions=True)
    assert all(isinstance(one, Exception) for one in told[:4])
    tgtd.let.set()
    assert (await tgtd.asked(SHOW)).startswith("answer")


async def test_all_who_share_are_told_the_fault() -> None:
    """And who asks later tries anew."""
    tgtd = Tgtd(seconds=0.5)
    told = await asyncio.gather(tgtd.asked(SHOW), tgtd.asked(SHOW), return_exceptions=True)
    assert [type(one) for one in told] == [BackendUnavailable] * 2
    with pytest.raises(BackendUnavailable):
        await tgtd.asked(SHOW)


class Daemon:
    """What listens where tgtd does: it answers each order with the next of its numbers."""

    def __init__(self, folder: Path, *numbers: int) -> None:
        self.numbers = list(numbers)
        self.heard = 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(folder / "tgtd.0"))
        self.socket.listen(0)
        access = TgtAccess(socket=folder / "tgtd", portals=("127.0.0.1:3260",))
        self.control = TgtControl("rack", access, seconds=20)

    async def serve(self) -> None:
        server = await asyncio.start_unix_server(self._answer, sock=self.socket)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await reader.read(65536):  # it has gone meanwhile
            writer.close()
            return
        self.heard += 1
        writer.write(ANSWER.pack(self.numbers.pop(0), ANSWER.size))
        writer.close()


@asynccontextmanager
async def serving(daemon: Daemon) -> AsyncIterator[None]:
    task = asyncio.create_task(daemon.serve())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    """A tgtd that hangs for a moment has more connections than it takes; none of them is lost."""
    daemon = Daemon(tmp_path, 15, 0)
    others = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for one in others:
        one.setblocking(False)
        with suppress(BlockingIOError):
            one.connect(str(tmp_path / "tgtd.0"))
    order = asyncio.create_task(daemon.control(Deadline.after(60), ORDER))
    await _all_have_asked()
    assert not order.done()
    for one in others:
        one.close()
    async with serving(daemon):
        assert await order == ""
    assert daemon.heard == 2


async def test_a_tgtd_whose_numbers_are_others_is_no_tgtd_of_ours(tmp_path: Path) -> None:
    """It is asked something harmless first, and again when it has been away."""
    daemon = Daemon(tmp_path, 13, 15, 0, 0)
    async with serving(daemon):
        with pytest.raises(BackendUnavailable, match="of a version"):
            await daemon.control(Deadline.after(60), ORDER)
        for _ in range(2):
            await daemon.control(Deadline.after(60), ORDER)
    assert daemon.numbers == []
