"""What becomes of a message on a work queue whose handler failed: one table of outcomes.

| the failure | the message |
|---|---|
| body doesn't decode, `RejectedMessage` | to the dead letters, with the reason |
| `TemporaryError` | comes back after 1, 2, 5, 15, then every 60 seconds, for ever |
| any other: a fault of ours | comes back, up to 5 tries; then to the dead letters |
"""

from __future__ import annotations

import structlog

from shared.bus import metrics
from shared.bus.copies import FAULTY_TRIES, dead_copy, delayed_copy, next_delay
from shared.bus.delivery import Incoming
from shared.bus.errors import FORBIDDEN, RejectedMessage
from shared.bus.publisher import Publisher
from shared.contract.codec import UndecodableMessage
from shared.runtime.errors import TemporaryError

#: Seconds that one try to publish a copy may take.
COPY_TIMEOUT = 15.0

_log = structlog.get_logger(__name__)


class Settlement:
    """Publishes the copies."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def __call__(self, incoming: Incoming, failure: BaseException) -> str:
        """Make the message safe elsewhere; returns the outcome, raises as `Publisher.publish`."""
        if isinstance(failure, UndecodableMessage):
            return await self.bury(incoming, str(failure), "undecodable")
        if isinstance(failure, RejectedMessage):
            why = "forbidden" if failure.reason == FORBIDDEN else "rejected"
            return await self.bury(incoming, failure.detail, why)
        if isinstance(failure, TemporaryError):
            seconds = next_delay(incoming.delays, failure.retry_after)
            _log.info("delayed", queue=incoming.queue, seconds=seconds, reason=failure.detail)
            return await self._delay(incoming, seconds, faulty=False)
        return await self._fault(incoming, failure)

    async def bury(self, incoming: Incoming, reason: str, why: str) -> str:
        """Send to the dead letters; ``why`` is for the metrics."""
        _log.warning("dead-lettered", queue=incoming.queue, reason=reason, why=why)
        await self._publisher.publish(dead_copy(incoming, reason), timeout=COPY_TIMEOUT)
        metrics.DEAD_LETTERED.labels(incoming.queue, why).inc()
        return "dead_lettered"

    async def _fault(self, incoming: Incoming, failure: BaseException) -> str:
        text = f"{type(failure).__name__}: {failure}"
        tries = incoming.faults + 1
        _log.error("handler failed", queue=incoming.queue, tries=tries, exc_info=failure)
        if tries >= FAULTY_TRIES:
            return await self.bury(incoming, f"{text} (after {tries} tries)", "faulty")
        return await self._delay(incoming, next_delay(incoming.faults), faulty=True)

    async def _delay(self, incoming: Incoming, seconds: int, *, faulty: bool) -> str:
        copy = delayed_copy(incoming, seconds, faulty=faulty)
        await self._publisher.publish(copy, timeout=COPY_TIMEOUT)
        return "delayed"
