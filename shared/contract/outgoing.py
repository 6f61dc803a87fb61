"""Messages ready to be published: body, exchange and routing key together.

The outbox stores these and the bus publishes them; one function per exchange says how its
routing keys are built.
"""

from __future__ import annotations

import msgspec

from shared.contract import topology
from shared.contract.codec import Envelope, encode
from shared.contract.messages import (
    Message,
    RequestSubmitted,
    ResourceStatusChanged,
)


class OutgoingMessage(msgspec.Struct, frozen=True):
    """A message as it goes to the broker. ``id`` and ``type`` are the CloudEvent's."""

    exchange: str
    routing_key: str
    id: str
    type: str
    body: bytes


def _outgoing(exchange: str, key: str, envelope: Envelope, message: Message) -> OutgoingMessage:
    return OutgoingMessage(exchange, key, envelope.id, envelope.type, encode(envelope, message))


def request(envelope: Envelope, message: RequestSubmitted) -> OutgoingMessage:
    """``colobus.requests``, ``<tenant>.<kind>.<verb>``."""
    return _outgoing(topology.REQUESTS, request_key(envelope.tenant, message), envelope, message)


def request_key(tenant: str, message: RequestSubmitted) -> str:
    """The routing key of a request: ``<tenant>.<kind>.<verb>``."""
    return f"{tenant}.{message.kind}.{message.verb.value}"


def command(worker: str, envelope: Envelope, message: Message) -> OutgoingMessage:
    """``colobus.commands``, ``<worker>.<Command>``."""
    return _outgoing(topology.COMMANDS, f"{worker}.{envelope.message_name}", envelope, message)


def event(kind: str, envelope: Envelope, message: Message) -> OutgoingMessage:
    """``colobus.events``, ``<tenant>.<kind>.<Event>``."""
    key = f"{envelope.tenant}.{kind}.{envelope.message_name}"
    return _outgoing(topology.EVENTS, key, envelope, message)


def status(envelope: Envelope, message: ResourceStatusChanged) -> OutgoingMessage:
    """``colobus.status``, ``<tenant>.<kind>.<phase>``."""
    resource = message.resource
    key = f"{resource.tenant}.{resource.kind}.{resource.status.phase.value}"
    return _outgoing(topology.STATUS, key, envelope, message)
