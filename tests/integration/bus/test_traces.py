"""Which trace a delivery is handled in."""

from __future__ import annotations

import pytest

from shared.bus import Bus, Delivery
from shared.contract import outgoing
from shared.contract.codec import Envelope, envelope_for
from shared.contract.messages import GetQuota, Message, QuotaReported, VmBuildStarted
from shared.contract.outgoing import OutgoingMessage
from shared.runtime import trace_context, tracing
from shared.runtime.errors import TemporaryError
from tests.support.bus import until

pytestmark = pytest.mark.timeout(120)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NO_TRACE = f"00-{'0' * 32}-{'0' * 16}-00"


class Seeing:
    """A handler that notes the trace it works in; it fails the first time for ``ids``."""

    def __init__(self, *ids: str) -> None:
        self.seen: list[tuple[str, str | None]] = []
        self._ids = set(ids)

    async def __call__(self, delivery: Delivery) -> None:
        self.seen.append((delivery.envelope.id, tracing.traceparent()))
        if delivery.envelope.id in self._ids:
            self._ids.remove(delivery.envelope.id)
            raise TemporaryError("not now")


def _event(id: str, traceparent: str | None) -> OutgoingMessage:
    message = VmBuildStarted(server_id="s-1")
    envelope = envelope_for(
        message, source="v", subject="vm-1", tenant="bigtop", id=id, traceparent=traceparent
    )
    return outgoing.event("vm", envelope, message)


async def test_a_delivery_is_handled_in_the_trace_of_its_envelope(bus: Bus) -> None:
    """Also when it comes again from a delay queue; whoever publishes it may be in another."""
    handler = Seeing("late")
    await bus.consume("scheduler.events", handler)
    with tracing.span("another", parent=None):
        await bus.publish(_event("late", TRACE))
    await until(lambda: len(handler.seen) == 2)
    assert handler.seen == [("late", TRACE)] * 2


async def test_a_delivery_without_a_trace_begins_one(bus: Bus) -> None:
    """Each its own, as does one whose trace is none; never that of who made the consumer."""
    handler = Seeing()
    with tracing.span("wiring", parent=TRACE):
        await bus.consume("scheduler.events", handler)
    for id, traceparent in (("a", None), ("b", NO_TRACE)):
        await bus.publish(_event(id, traceparent))
    await until(lambda: len(handler.seen) == 2)
    places = {trace_context.parse(seen) for _, seen in handler.seen}
    assert len(places) == 2
    assert None not in places
    assert TRACE not in [seen for _, seen in handler.seen]


async def test_a_query_is_answered_in_the_trace_of_its_envelope(bus: Bus) -> None:
    """And its asker goes on in its own."""
    seen: list[str | None] = []

    async def answer(_: Envelope, __: Message) -> Message:
        seen.append(tracing.traceparent())
        return QuotaReported(limits={}, used={}, waiting=0)

    await bus.serve_queries("scheduler", answer)
    question = GetQuota()
    with tracing.span("request", parent=TRACE):
        place = tracing.traceparent()
        envelope = envelope_for(
            question, source="f", subject="bigtop", tenant="bigtop", traceparent=place
        )
        await bus.query("scheduler", envelope, question)
        assert tracing.traceparent() == place
    assert seen == [TRACE]
