"""One delivery from claim to record: sign, POST, judge the answer, write down what became of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from services.webhook_worker import outcomes, traces
from services.webhook_worker.announcement import webhook_disabled
from services.webhook_worker.backend import Answer, Endpoint, Verdict
from services.webhook_worker.claims import Claimed
from services.webhook_worker.metrics import ATTEMPT_SECONDS, DELIVERIES, DISABLED
from services.webhook_worker.outcomes import Tolerance
from services.webhook_worker.schedule import delay_after
from services.webhook_worker.signing import Signer
from shared.contract.messages import Webhook
from shared.runtime.service import patiently
from shared.storage import Connection, Database, Outbox

_log = structlog.get_logger(__name__)


class Courier:
    """Takes claimed deliveries to their endpoints.

    ``record_seconds``: how long a database that is away is waited for before the answer is lost,
    and the delivery is sent again when its lease has run out.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        endpoint: Endpoint,
        signer: Signer,
        *,
        schedule: Sequence[float],
        tolerance: Tolerance,
        record_seconds: float,
    ) -> None:
        self._database, self._outbox = database, outbox
        self._endpoint, self._signer = endpoint, signer
        self._schedule, self._tolerance = tuple(schedule), tolerance
        self._record_seconds = record_seconds

    async def deliver(self, claimed: Claimed) -> Answer:
        """Try once, and record it. Raises `TemporaryError` when it can't be recorded."""
        at = datetime.now(UTC)
        headers = self._signer.headers(claimed.key, claimed.id, claimed.body, at)
        sent = {**headers, **traces.headers()}
        answer = await self._endpoint.post(claimed.url, sent, claimed.body.encode())
        await patiently(
            lambda: self._record(claimed, at, answer), self._record_seconds, name="database"
        )
        return answer

    async def _record(self, claimed: Claimed, at: datetime, answer: Answer) -> None:
        delay = delay_after(claimed.tries + 1, self._schedule, answer.retry_after, random.random)
        async with self._database.transaction() as tx:
            disabled = await self._settle(tx, claimed, at, answer, delay)
            messages = [webhook_disabled(claimed.tenant, disabled)] if disabled else []
            batch = await self._outbox.put(tx, messages) if messages else None
        if batch is not None:
            self._outbox.send(batch)
        _count(claimed, answer, delay, disabled)

    async def _settle(
        self, tx: Connection, claimed: Claimed, at: datetime, answer: Answer, delay: float | None
    ) -> Webhook | None:
        match answer.verdict:
            case Verdict.DELIVERED:
                await outcomes.delivered(tx, claimed, at, answer)
                return None
            case Verdict.GONE:
                return await outcomes.gone(tx, claimed, at, answer)
            case Verdict.RETRY:
                return await outcomes.failed(tx, claimed, at, answer, delay, self._tolerance)


def _count(claimed: Claimed, answer: Answer, delay: float | None, disabled: Webhook | None) -> None:
    success = answer.verdict is Verdict.DELIVERED
    repeated = answer.verdict is Verdict.RETRY and delay is not None
    outcome = "delivered" if success else "retried" if repeated else "failed"
    DELIVERIES.labels(outcome).inc()
    ATTEMPT_SECONDS.labels("delivered" if success else "failed").observe(answer.milliseconds / 1e3)
    _log.info(
        "webhook sent" if success else "webhook failed",
        tenant=claimed.tenant,
        resource=claimed.resource_id,
        webhook=claimed.subscription_id,
        delivery=claimed.id,
        outcome=outcome,
        status=answer.status,
        error=answer.error,
        milliseconds=answer.milliseconds,
        next_in=delay if repeated else None,
    )
    if disabled is not None:
        DISABLED.inc()
        _log.warning(
            "webhook disabled",
            tenant=claimed.tenant,
            webhook=disabled.id,
            reason=disabled.disabled_reason,
        )
