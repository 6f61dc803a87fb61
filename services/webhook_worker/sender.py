"""The sending loop: claims what is due, within the bounds, and sends it side by side.

It sleeps until something is queued (our own wake-up, or another replica's notification), until a
slot becomes free, or until the next delivery is due.
"""

from __future__ import annotations

import asyncio

import structlog

from services.webhook_worker import claims, traces
from services.webhook_worker.backend import Verdict
from services.webhook_worker.claims import Claimed
from services.webhook_worker.courier import Courier
from services.webhook_worker.deliveries import CHANNEL
from services.webhook_worker.lanes import Lanes
from services.webhook_worker.metrics import UNDER_WAY
from shared.contract.identifiers import new_ulid
from shared.runtime.errors import TemporaryError
from shared.runtime.tracing import Span
from shared.storage import Database

#: Even with nothing due, the loop looks again after so many seconds.
LONGEST_SLEEP = 30.0
#: The shortest sleep, so that clocks which differ a little make no busy loop.
_SHORTEST_SLEEP = 0.01
#: How long to wait before asking a database again that was away, in seconds.
_OUTAGE_PAUSE = 1.0

_log = structlog.get_logger(__name__)


class Sender:
    """One replica's sender; any number of them may run."""

    def __init__(self, database: Database, courier: Courier, lanes: Lanes, *, lease: float) -> None:
        self._database, self._courier, self._lanes = database, courier, lanes
        self._lease = lease
        self._woken = asyncio.Event()
        self._draining = False
        self._ended = asyncio.Event()

    def wake(self) -> None:
        """Something may have become due, or a slot free."""
        self._woken.set()

    async def run(self) -> None:
        """Send until drained; raises when a delivery fails by a fault of ours."""
        try:
            async with (
                self._database.listen(CHANNEL, lambda _: self.wake()),
                asyncio.TaskGroup() as group,
            ):
                while not self._draining:
                    await self._round(group)
        finally:
            self._ended.set()

    async def drain(self) -> None:
        """Claim nothing more, and wait for what is under way."""
        self._draining = True
        self.wake()
        await self._ended.wait()

    async def _round(self, group: asyncio.TaskGroup) -> None:
        self._woken.clear()
        try:
            claimed, due = await self._claim()
        except TemporaryError as error:
            _log.warning("the database is away", error=error.detail)
            await self._sleep(_OUTAGE_PAUSE)
            return
        for delivery in claimed:
            self._lanes.take(delivery.lane)
            group.create_task(self._send(delivery), name=f"send {delivery.id}")
        UNDER_WAY.set(self._lanes.under_way)
        if not claimed:
            await self._sleep(due)

    async def _claim(self) -> tuple[list[Claimed], float | None]:
        """Claim what is due, or else return when something will be.

        Both in one transaction, and so by one reading of the clock: what becomes due in between
        is neither claimed nor overlooked.
        """
        async with self._database.transaction() as tx:
            allowed = self._lanes.allowances(await claims.due_lanes(tx))
            if allowed and (claimed := await claims.claim(tx, allowed, new_ulid(), self._lease)):
                return claimed, None
            return [], await claims.seconds_until_due(tx)

    async def _sleep(self, due: float | None) -> None:
        waits = [seconds for seconds in (due, self._lanes.next_rest_ends()) if seconds is not None]
        seconds = max(_SHORTEST_SLEEP, min([LONGEST_SLEEP, *waits]))
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _send(self, claimed: Claimed) -> None:
        try:
            with traces.delivering(claimed) as span:
                await self._deliver(claimed, span)
        finally:
            self._lanes.give_back(claimed.lane)
            UNDER_WAY.set(self._lanes.under_way)
            self.wake()

    async def _deliver(self, claimed: Claimed, span: Span) -> None:
        try:
            answer = await self._courier.deliver(claimed)
        except (TemporaryError, OSError) as error:
            # Sent, but not recorded: it is sent again when the claim has run out.
            _log.error("webhook not recorded", delivery=claimed.id, error=str(error))
            span.fail(type(error).__name__)
            return
        traces.answered(span, answer)
        if answer.verdict is Verdict.DELIVERED:
            self._lanes.succeeded(claimed.lane)
        else:
            self._lanes.failed(claimed.lane, answer.retry_after)
