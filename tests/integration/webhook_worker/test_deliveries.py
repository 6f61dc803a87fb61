"""Status messages reach subscribers: signed, in order, at least once."""

from __future__ import annotations

from shared.contract.resources import Phase
from tests.integration.webhook_worker.harness import Surroundings, a_resource
from tests.support.webhooks import Receiver


async def test_a_change_of_phase_is_delivered_with_a_signature_that_verifies(
    around: Surroundings, receiver: Receiver
) -> None:
    """The subscriber gets the CloudEvent, signed with the secret that it was given."""
    async with around.worker():
        _, secret = await around.subscribe(receiver.url())
        resource = a_resource(around.tenant)
        await around.change(resource, Phase.ACTIVE, previous=Phase.PROVISIONING, revision=7)
        (received,) = await receiver.until_received(1)
    assert received.is_signed_with(secret)
    assert received.event["type"] == "org.colobus.ResourceStatusChanged.v1"
    assert received.event["subject"] == resource.id
    assert received.event["sequence"] == 7
    assert received.headers["content-type"] == "application/cloudevents+json"
