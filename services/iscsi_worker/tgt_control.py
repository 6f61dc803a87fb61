"""Orders to one tgtd, over its control socket (`tgt_protocol`).

tgtd answers only those who have its own user and group; it closes the connection to others.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial

from services.iscsi_worker.metrics import GATEWAY_CALLS, GATEWAY_SECONDS
from services.iscsi_worker.stores_file import TgtAccess
from services.iscsi_worker.tgt_protocol import (
    ANSWER,
    NO_ACCOUNT,
    Op,
    Order,
    delete_account,
    fault_of,
)
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable, OutcomeUnknown
from shared.worker.errors import Conflict, NotFound, Refused

#: How many orders are given at once; tgtd carries them out one after the other.
_AT_ONCE = 4
#: How long a full queue is left alone before it is tried again, in seconds.
_FULL_PAUSE = 0.05
#: The account that no tgtd has.
_NOBODY = "colobus-has-no-such-account"


class TgtControl:
    """One tgtd. Few orders are given at once: it carries them out one after the other anyway.

    What is only to be shown is asked for once for all who wait for it: each has asked before it is
    looked at. Where fifty targets are made at once, most of tgtd's time would else go into listing
    all of them for each.
    """

    def __init__(self, store: str, access: TgtAccess, *, seconds: float) -> None:
        self._store = store
        self._access = access
        self._seconds = seconds
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._asked: dict[Order, asyncio.Task[str]] = {}
        self._met = False

    async def __call__(self, deadline: Deadline, order: Order) -> str:
        """Give an order; return what tgtd says to it.

        Raises `NotFound`, `Conflict`, `Refused`, or `BackendUnavailable` when nobody answers.
        """
        deadline.check()
        if order.op is Op.SHOW:
            return await self._shown(order)
        return await self._bounded(lambda: self._run(order), changes=True)

    async def _shown(self, order: Order) -> str:
        """Share what is about to be looked at, unless that has begun."""
        asked = self._asked.get(order)
        if asked is None:
            asked = asyncio.create_task(
                self._bounded(lambda: self._look(order), changes=False), name="tgtd shows"
            )
            self._asked[order] = asked
            asked.add_done_callback(partial(self._forget, order))
        return await asyncio.shield(asked)  # whoever gives up leaves it to the others

    async def _look(self, order: Order) -> str:
        self._asked.pop(order, None)  # who asks from here on may mean what changes meanwhile
        return await self._run(order)

    def _forget(self, order: Order, asked: asyncio.Task[str]) -> None:
        """It has never begun, if it is still there."""
        if self._asked.get(order) is asked:
            del self._asked[order]
        if not asked.cancelled():
            asked.exception()  # all who waited may have given up

    async def _bounded(self, run: Callable[[], Awaitable[str]], *, changes: bool) -> str:
        """Wait for our turn and carry out one order; who is silent too long is given up."""
        outcome, started = "failed", time.monotonic()
        try:
            async with asyncio.timeout(2 * self._seconds), self._turn:
                async with asyncio.timeout(self._seconds):
                    answer = await run()
            outcome = "done"
        except TimeoutError as error:
            kind = OutcomeUnknown if changes else BackendUnavailable
            raise kind(f"tgtd of store {self._store} did not answer in time.") from error
        else:
            return answer
        finally:
            GATEWAY_CALLS.labels(self._store, outcome).inc()
            GATEWAY_SECONDS.labels(self._store).observe(time.monotonic() - started)

    async def _run(self, order: Order) -> str:
        try:
            if not self._met:
                await self._meet()
            return await self._exchanged(order)
        except BackendUnavailable:
            self._met = False  # the next one that answers may be another
            raise

    async def _meet(self) -> None:
        """Make sure that its numbers mean what ours do: others' would be believed, and be wrong."""
        try:
            await self._exchanged(delete_account(_NOBODY))
        except NotFound as error:
            if error.detail == NO_ACCOUNT:
                self._met = True
                return
        except (Conflict, Refused):
            pass
        detail = f"tgtd of store {self._store} is of a version whose answers aren't known."
        raise BackendUnavailable(detail)

    async def _connected(self) -> socket.socket:
        """Wait while tgtd has more connections than it takes, as `tgtadm` does.

        asyncio takes such a socket for a connected one: for TCP it would be, once it is writable.
        """
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            made.setblocking(False)
            while True:
                try:
                    made.connect(f"{self._access.socket}.{self._access.control_port}")
                except BlockingIOError:
                    await asyncio.sleep(_FULL_PAUSE)
                else:
                    return made
        except BaseException:
            made.close()
            raise

    async def _exchanged(self, order: Order) -> str:
        try:
            reader, writer = await asyncio.open_unix_connection(sock=await self._connected())
        except OSError as error:
            detail = f"tgtd of store {self._store} can't be reached: {error.strerror}"
            raise BackendUnavailable(detail) from error
        try:
            writer.write(order.encoded())
            number, length = ANSWER.unpack(await reader.readexactly(ANSWER.size))
            said = await reader.readexactly(length - ANSWER.size) if length > ANSWER.size else b""
        except (OSError, asyncio.IncompleteReadError):
            # Without the cause: it could carry what was sent.
            detail = f"tgtd of store {self._store} closed the connection: does it run as our user?"
            raise BackendUnavailable(detail) from None
        finally:
            writer.close()
        if number:
            raise fault_of(number)
        return said.decode(errors="replace").rstrip("\0")
