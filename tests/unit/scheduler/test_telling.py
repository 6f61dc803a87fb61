"""The log says what has become of a resource, under its own trace and request."""

from __future__ import annotations

import structlog

from services.scheduler.ledger import utc_now
from services.scheduler.telling import log_statuses
from shared.contract import outgoing
from shared.contract.codec import Envelope, envelope_for
from shared.contract.messages import ReleaseVmPort, ResourceStatusChanged
from shared.contract.resources import Phase, Resource, Status
from tests.unit.conftest import Lines

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def status(resource_id: str, phase: Phase) -> ResourceStatusChanged:
    """One revision."""
    now = utc_now()
    return ResourceStatusChanged(
        resource=Resource(
            id=resource_id,
            kind="vm",
            tenant="bigtop",
            spec={},
            status=Status(phase=phase),
            created_at=now,
            updated_at=now,
            revision=1,
        )
    )


def about(message: ResourceStatusChanged | ReleaseVmPort, traceparent: str | None) -> Envelope:
    """As the scheduler sends it."""
    subject = message.resource.id if isinstance(message, ResourceStatusChanged) else "vm-1"
    return envelope_for(
        message,
        source="/scheduler",
        subject=subject,
        tenant="bigtop",
        correlationid="request-1",
        traceparent=traceparent,
    )


def test_each_status_is_a_line_under_its_own_trace(lines: Lines) -> None:
    """And not under that of the message whose transaction decided about all; commands are none."""
    structlog.contextvars.bind_contextvars(request="other", tenant="littletop", message_id="m-1")
    first, second = status("vm-1", Phase.PROVISIONING), status("vm-2", Phase.ACTIVE)
    command = ReleaseVmPort(cloud="devcloud", port_id=None)
    log_statuses(
        [
            outgoing.status(about(first, f"00-{TRACE}-{SPAN}-01"), first),
            outgoing.command("vm_worker", about(command, None), command),
            outgoing.status(about(second, None), second),
        ]
    )
    told, untraced = lines()
    wanted = {"event": "status", "resource": "vm-1", "phase": "provisioning", "tenant": "bigtop"}
    assert told.items() >= {**wanted, "request": "request-1", "trace_id": TRACE}.items()
    assert (untraced["resource"], untraced["phase"]) == ("vm-2", "active")
    assert not {"trace_id", "message_id"} & untraced.keys()
