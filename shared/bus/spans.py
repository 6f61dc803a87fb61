"""The spans of messages, as OpenTelemetry's conventions for messaging and CloudEvents name them.

Each publish is a span of kind producer, each delivery's handling one of kind consumer, whose
parent is what the envelope says. Names are of few values: an exchange, a queue.

Sources: semantic-conventions "Messaging spans", "RabbitMQ" (``messaging.destination.name``) and
"CloudEvents".
"""

from __future__ import annotations

from shared.bus.delivery import Delivery
from shared.contract.codec import Envelope
from shared.contract.outgoing import OutgoingMessage
from shared.runtime.tracing import Attributes, Kind, Span, recording, span


def sending(message: OutgoingMessage) -> Span:
    """The publishing of ``message``, until it is confirmed."""
    attributes = _of_message(message) if recording() else None
    return span(f"publish {message.exchange}", kind=Kind.PRODUCER, attributes=attributes)


def processing(delivery: Delivery) -> Span:
    """The handling of ``delivery``; one without a trace begins its own."""
    return span(
        f"process {delivery.queue}",
        kind=Kind.CONSUMER,
        parent=delivery.envelope.traceparent,
        attributes=_of_delivery(delivery) if recording() else None,
    )


def asking(owner: str, envelope: Envelope) -> Span:
    """A query, until its answer is there."""
    attributes = {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "ask",
        "messaging.destination.name": f"{owner}.queries",
        "cloudevents.event_type": envelope.type,
    }
    return span(f"ask {owner}.queries", kind=Kind.CLIENT, attributes=attributes)


def _of_message(message: OutgoingMessage) -> Attributes:
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": f"{message.exchange}:{message.routing_key}",
        "messaging.rabbitmq.destination.routing_key": message.routing_key,
        "messaging.message.id": message.id,
        "cloudevents.event_type": message.type,
    }


def _of_delivery(delivery: Delivery) -> Attributes:
    envelope = delivery.envelope
    name = f"{delivery.exchange}:{delivery.routing_key}:{delivery.queue}"
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": name,
        "messaging.rabbitmq.destination.routing_key": delivery.routing_key,
        "messaging.message.id": envelope.id,
        "messaging.message.conversation_id": envelope.correlationid,
        "cloudevents.event_id": envelope.id,
        "cloudevents.event_source": envelope.source,
        "cloudevents.event_type": envelope.type,
        "cloudevents.event_subject": envelope.subject,
        "colobus.tenant": envelope.tenant,
    }
