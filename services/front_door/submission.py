"""From a valid request to 202: write the row, publish, see the confirm, and only then accept.

What a crash between any two of these steps leaves behind, and what becomes of it:

- An open row with an Idempotency-Key is published in the end, by a retry under the same key or by
  the republisher, always as the same message (same id, so the scheduler takes it once). A retry
  waits a moment for whoever has claimed the row, but not for the claim of a dead process to lapse.
- An open row without a key belongs to somebody who was told 503 or nothing at all, and who can't
  find it again. It is withdrawn: never published again and not shown. The broker may have taken
  it all the same, so a create is followed by a delete of the same resource.
- A confirm that comes after the withdrawal is answered 503, and deleted once more.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

import msgspec
import structlog

from services.front_door.faults import key_reused
from services.front_door.request_store import RequestRow, RequestStore
from services.front_door.wakeups import Wakeups, request_topic
from shared.bus import Bus
from shared.contract import outgoing
from shared.contract.codec import decode, envelope_for
from shared.contract.identifiers import new_ulid
from shared.contract.messages import RequestSubmitted
from shared.contract.resources import Resource, Verb
from shared.runtime import tracing
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable, ColobusError, TemporaryError

#: How long who asks again waits for whoever has claimed its row, in seconds: more than a healthy
#: broker takes to confirm.
_OTHERS_TURN = 1.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Ask:
    """Who asks, and under which name it may be asked again.

    ``scope`` is method and path, ``body`` the canonical JSON of what was sent (it may hold
    secrets: nothing but a keyed digest of it is stored).
    """

    tenant: str
    scope: str
    key: str | None
    body: bytes
    correlationid: str
    traceparent: str | None = None


class Submitter:
    """Accepts requests; ``digest_key`` keys the digests, ``source`` is the CloudEvents source."""

    def __init__(
        self,
        store: RequestStore,
        bus: Bus,
        wakeups: Wakeups,
        *,
        source: str,
        digest_key: bytes,
        confirm_seconds: float,
    ) -> None:
        self._store = store
        self._bus = bus
        self._wakeups = wakeups
        self._source = source
        self._digest_key = digest_key
        self._seconds = confirm_seconds

    async def submit(
        self, ask: Ask, message: RequestSubmitted, created: Resource | None = None
    ) -> RequestRow:
        """Accept ``message``, or what the same key stood for before; return its row.

        Raises `RequestFault` 422 when the key was used for another body, and `BackendUnavailable`
        when the broker has not confirmed in time.
        """
        structlog.contextvars.bind_contextvars(resource=message.resource_id)
        row, is_new = await self._store.insert(self.prepare(ask, message), created)
        if is_new:
            await self._publish(row, repeated=False)
            return row
        return await self._accepted(row, ask)

    async def accepted_before(self, ask: Ask) -> RequestRow | None:
        """Return what the key of ``ask`` stands for, if anything; raises like `submit`."""
        if ask.key is None:
            return None
        row = await self._store.by_key(ask.tenant, ask.scope, ask.key)
        return None if row is None else await self._accepted(row, ask)

    async def _accepted(self, row: RequestRow, ask: Ask) -> RequestRow:
        if not hmac.compare_digest(row.digest, self._digest(ask)):
            raise key_reused()
        if not row.confirmed:
            await self.settle(row)
        return row

    async def settle_create(self, resource_id: str) -> None:
        """See to it that the broker has the create before another verb follows it."""
        row = await self._store.open_create(resource_id)
        if row is not None:
            await self.settle(row)

    async def settle(self, row: RequestRow) -> None:
        """Publish an open row, or wait for whoever is publishing it.

        That one may be dead. What would be published in the end anyhow is published without its
        claim, then: twice is as good as once, and withdrawn it can't be.
        """
        deadline = Deadline.after(_OTHERS_TURN if row.outlives_its_answer else self._seconds)
        with self._wakeups.listen(request_topic(row.id)) as listener:
            while not await self._store.claim(row.id):
                if await self._store.is_confirmed(row.id):
                    return
                if deadline.expired and row.outlives_its_answer:
                    break
                if deadline.expired or self._wakeups.closed:
                    raise unconfirmed()
                await listener.wait(deadline.remaining(at_most=1))
        await self._publish(row, repeated=True)

    async def republish(self, row: RequestRow) -> None:
        """Bring a row that its process left behind to its end. The caller has claimed it."""
        envelope, _ = decode(row.body)
        with tracing.span("republish", parent=envelope.traceparent):
            if row.outlives_its_answer:
                await self._publish(row, repeated=True)
                _log.info("request published again", request=row.id, resource=row.resource_id)
            else:
                await self._withdraw(row)
                _log.info("request withdrawn", request=row.id, resource=row.resource_id)

    async def _publish(self, row: RequestRow, *, repeated: bool) -> None:
        try:
            await self._bus.publish(row.message, repeated=repeated, timeout=self._seconds)
        except ColobusError as error:
            _log.warning("request not confirmed", request=row.id, error=str(error))
            await (self._store.release(row.id) if row.outlives_its_answer else self._withdraw(row))
            raise unconfirmed() from error
        if not await self._store.confirm(row.id):
            await self._withdraw(row)
            raise unconfirmed()

    async def _withdraw(self, row: RequestRow) -> None:
        await self._store.withdraw(row.id, self._compensation(row))

    def _compensation(self, row: RequestRow) -> RequestRow | None:
        if row.verb != Verb.CREATE:
            return None
        trace = tracing.traceparent()
        ask = Ask(row.tenant, "compensation", None, b"", row.id, trace)
        delete = RequestSubmitted(verb=Verb.DELETE, kind=row.kind, resource_id=row.resource_id)
        return msgspec.structs.replace(self.prepare(ask, delete), compensates=row.id)

    def prepare(self, ask: Ask, message: RequestSubmitted) -> RequestRow:
        """Return the row for ``message``, with the message ready to be published."""
        assert message.resource_id is not None, "the front door mints the ids of what it asks for"
        envelope = envelope_for(
            message,
            source=self._source,
            subject=message.resource_id,
            tenant=ask.tenant,
            id=new_ulid(),
            correlationid=ask.correlationid,
            traceparent=ask.traceparent,
        )
        ready = outgoing.request(envelope, message)
        return RequestRow(
            id=ready.id,
            tenant=ask.tenant,
            resource_id=message.resource_id,
            kind=message.kind,
            verb=str(message.verb),
            operation_id=message.operation_id,
            scope=ask.scope,
            idempotency_key=ask.key,
            digest=self._digest(ask),
            exchange=ready.exchange,
            routing_key=ready.routing_key,
            type=ready.type,
            body=ready.body,
        )

    def _digest(self, ask: Ask) -> bytes:
        return hmac.digest(self._digest_key, ask.body, "sha256")  # by name: in C


def unconfirmed() -> TemporaryError:
    """The broker has not confirmed (503): nothing was accepted."""
    return BackendUnavailable("The request could not be handed on; try again.", retry_after=2)
