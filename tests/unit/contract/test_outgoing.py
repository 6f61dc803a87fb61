"""Where each message goes."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.contract import outgoing
from shared.contract.codec import Envelope, decode, envelope_for
from shared.contract.messages import (
    AssociateFloatingIp,
    Message,
    RequestSubmitted,
    ResourceStatusChanged,
    VmBuildStarted,
)
from shared.contract.resources import Phase, Resource, Status, Verb

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def about(message: Message) -> Envelope:
    """An envelope of tenant bigtop."""
    return envelope_for(message, source="s", subject="vm-1", tenant="bigtop", id="1", time=NOW)


def test_a_request_goes_by_tenant_kind_and_verb() -> None:
    """So that a CI system's user can be confined to its tenant's keys."""
    message = RequestSubmitted(verb=Verb.CREATE, kind="vm", resource_id="vm-1")
    sent = outgoing.request(about(message), message)
    assert (sent.exchange, sent.routing_key) == ("colobus.requests", "bigtop.vm.create")


def test_a_command_goes_to_its_worker() -> None:
    """Two words, which no other exchange has: dead commands are told by them."""
    message = AssociateFloatingIp(cloud="c", port_id="p")
    sent = outgoing.command("vm_worker", about(message), message)
    assert (sent.exchange, sent.routing_key) == (
        "colobus.commands",
        "vm_worker.AssociateFloatingIp",
    )


def test_an_event_goes_by_tenant_kind_and_name() -> None:
    """The front door shows a tenant its own."""
    message = VmBuildStarted(server_id="s")
    sent = outgoing.event("vm", about(message), message)
    assert (sent.exchange, sent.routing_key) == ("colobus.events", "bigtop.vm.VmBuildStarted")


def test_a_status_goes_by_tenant_kind_and_phase() -> None:
    """A CI system may wait for `active` alone."""
    resource = Resource(
        id="vm-1",
        kind="vm",
        tenant="bigtop",
        spec={},
        status=Status(phase=Phase.ACTIVE),
        created_at=NOW,
        updated_at=NOW,
        revision=1,
    )
    message = ResourceStatusChanged(resource=resource)
    sent = outgoing.status(about(message), message)
    assert (sent.exchange, sent.routing_key) == ("colobus.status", "bigtop.vm.active")


def test_what_goes_out_is_the_message_itself() -> None:
    """Id and type beside the body are those of the body."""
    message = VmBuildStarted(server_id="s")
    sent = outgoing.event("vm", about(message), message)
    assert decode(sent.body) == (about(message), message)
    assert (sent.id, sent.type) == ("1", "org.colobus.VmBuildStarted.v1")
