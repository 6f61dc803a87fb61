"""What resources have come to, in the log: whoever has a trace or an id finds a VM's whole way.

One transaction decides about many resources, of as many traces: each line names its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import copy_context

import msgspec
import structlog

from shared.contract import topology
from shared.contract.outgoing import OutgoingMessage
from shared.runtime import trace_context


class _Head(msgspec.Struct):
    """All that is wanted of a message that we have just encoded."""

    subject: str
    tenant: str
    correlationid: str | None = None
    traceparent: str | None = None


_HEADS = msgspec.json.Decoder(_Head)
_log = structlog.get_logger(__name__)


def log_statuses(messages: Iterable[OutgoingMessage]) -> None:
    """Log a line for each status among these; they are committed."""
    told = [one for one in messages if one.exchange == topology.STATUS]
    if told:
        copy_context().run(_log_each, told)


def _log_each(statuses: Iterable[OutgoingMessage]) -> None:
    structlog.contextvars.clear_contextvars()  # those of whose message has begun the transaction
    for status in statuses:
        head = _HEADS.decode(status.body)
        place = trace_context.parse(head.traceparent)
        trace = {} if place is None else {"trace_id": place.trace_id, "span_id": place.span_id}
        _log.info(
            "status",
            request=head.correlationid,
            resource=head.subject,
            tenant=head.tenant,
            phase=status.routing_key.rpartition(".")[2],
            **trace,
        )
