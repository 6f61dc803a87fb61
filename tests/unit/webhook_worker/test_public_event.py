"""What a subscriber may see."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from services.webhook_worker.public_event import changes_phase, public_body
from shared.contract.codec import Envelope, decode, envelope_for
from shared.contract.messages import ResourceStatusChanged
from shared.contract.resources import Phase, Resource, Status

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RESOURCE = Resource(
    id="vm-1",
    kind="vm",
    tenant="bigtop",
    spec={"image": "i", "flavor": "f", "user_data": "S3CRET", "sealed_user_data": "S3ALED"},
    status=Status(phase=Phase.ACTIVE, outputs={"addresses": ["192.0.2.1"]}),
    created_at=NOW,
    updated_at=NOW,
    revision=4,
)
MESSAGE = ResourceStatusChanged(
    resource=RESOURCE,
    previous_phase=Phase.PROVISIONING,
    callback_url="https://ci.example.com/?token=T0KEN",
)


def envelope() -> Envelope:
    return envelope_for(
        MESSAGE,
        source="scheduler",
        subject="vm-1",
        tenant="bigtop",
        correlationid="request-1",
        causationid="inner-1",
        step="server",
        attempt=3,
        not_after=NOW,
        sequence=4,
    )


def test_the_body_is_the_cloudevent_of_the_contract() -> None:
    """Who knows the bus' messages knows webhooks: same type, id, order, resource."""
    shown, message = decode(public_body(envelope(), MESSAGE).encode())
    assert (shown.subject, shown.sequence, shown.source) == ("vm-1", 4, "scheduler")
    assert shown.correlationid == "request-1"
    assert isinstance(message, ResourceStatusChanged)
    assert message.previous_phase is Phase.PROVISIONING
    assert message.resource.status == RESOURCE.status


def test_the_body_has_no_secret_and_nothing_of_our_inside() -> None:
    """Sealed or not, a secret goes to nobody; a callback_url may carry a token."""
    body = public_body(envelope(), MESSAGE)
    for hidden in ("S3CRET", "S3ALED", "T0KEN", "user_data", "callback_url"):
        assert hidden not in body
    assert not {"causationid", "step", "attempt", "notafter"} & set(msgspec.json.decode(body))


def test_a_kind_of_tomorrow_is_delivered_as_well() -> None:
    """A worker that is upgraded later than the scheduler passes on what it doesn't know."""
    resource = msgspec.structs.replace(RESOURCE, kind="machine", spec={"image": "i"})
    message = msgspec.structs.replace(MESSAGE, resource=resource)
    assert '"kind":"machine"' in public_body(envelope(), message)


@pytest.mark.parametrize(
    ("previous", "heard"),
    [(None, True), (Phase.PROVISIONING, True), (Phase.ACTIVE, False)],
)
def test_subscribers_hear_of_changes_of_phase(previous: Phase | None, heard: bool) -> None:
    """A new resource counts as a change; a step within a phase doesn't."""
    message = msgspec.structs.replace(MESSAGE, previous_phase=previous)
    assert changes_phase(message) is heard
