"""The scheduler as a process, and another service's user that says what it has no right to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiormq
import pytest
from pamqp.commands import Basic

from shared.contract import outgoing, topology
from shared.contract.codec import envelope_for
from shared.contract.messages import CommandFailed, Message, VmObserved
from shared.contract.outgoing import OutgoingMessage
from shared.contract.problems import Problem
from shared.contract.resources import Phase
from tests.integration.scheduler.neighbours import Neighbours
from tests.support.conditions import eventually
from tests.support.installation import Installation
from tests.unit.scheduler.driver import ANSWERS


@pytest.fixture
async def forger(scheduled: Installation) -> AsyncIterator[aiormq.Channel]:
    """A channel of the webhook_worker's user."""
    connection = await aiormq.connect(scheduled.environment("webhook_worker")["COLOBUS_AMQP_URLS"])
    channel = await connection.channel(publisher_confirms=True)
    assert isinstance(channel, aiormq.Channel)
    yield channel
    await connection.close()


def _event(message: Message, vm: str, **attributes: Any) -> OutgoingMessage:
    envelope = envelope_for(message, source="/vm", subject=vm, tenant="bigtop", **attributes)
    return outgoing.event("vm", envelope, message)


async def _forge(
    forger: aiormq.Channel, message: OutgoingMessage, exchange: str, key: str, **headers: Any
) -> None:
    properties = Basic.Properties(message_id=message.id, headers=headers)
    await forger.basic_publish(
        message.body, exchange=exchange, routing_key=key, properties=properties, mandatory=True
    )


async def _buried(scheduled: Installation, message: OutgoingMessage) -> str:
    """Why it lies in the dead letters, once it does."""
    url = str.__str__(scheduled.admin.admin_amqp_url[0])

    async def look() -> str | None:
        connection = await aiormq.connect(url)
        channel = await connection.channel()
        reasons = []
        while (got := await channel.basic_get("dead_letters")).delivery_tag:
            properties = got.header.properties
            if properties.message_id == message.id:
                reasons.append(str((properties.headers or {}).get("x-colobus-reason", "")))
        await connection.close()  # what was not acknowledged goes back
        return next(filter(None, reasons), None)

    return await eventually(look, within=60, what="it is in the dead letters with its reason")


#: {way: (exchange, routing key, second key)}
WAYS = {
    "under its own kind": (topology.EVENTS, "bigtop.webhook.VmObserved", None),
    "under any key of its kind": (topology.EVENTS, "bigtop.webhook.x", None),
    "with a second key": (topology.EVENTS, "bigtop.webhook.x", "bigtop.vm.VmObserved"),
    "past tenants' queues": (topology.for_ours(topology.EVENTS), "bigtop.webhook.x", None),
    "straight into the queue": ("", "scheduler.events", None),
    "into the queue of dead commands": ("", "scheduler.dead_commands", None),
    "as a dead letter": (topology.DEAD_LETTERS, "a.b.c", "vm_worker.VmObserved"),
}


async def test_a_forged_event_changes_nothing_and_is_kept(
    scheduled: Installation, neighbours: Neighbours, forger: aiormq.Channel
) -> None:
    """By no way does a VM go that its worker has not seen go; what the worker says still counts."""
    vm = await neighbours.create()
    await neighbours.until(vm, Phase.ACTIVE)
    for exchange, key, second in WAYS.values():
        gone = _event(VmObserved(observed_at=datetime.now(UTC), gone=True), vm)
        await _forge(forger, gone, exchange, key, **({"CC": [second]} if second else {}))
        assert await _buried(scheduled, gone)
    await neighbours.settle()
    active = neighbours.last(vm)
    assert active is not None
    assert active.status.phase is Phase.ACTIVE
    neighbours.gone.add(vm)
    await neighbours.observe("bigtop", vm)
    await neighbours.until(vm, Phase.FAILED)


async def test_a_forged_answer_ends_no_step(
    scheduled: Installation, neighbours: Neighbours, forger: aiormq.Channel
) -> None:
    """Neither as an event, nor as a dead command; the honest answer does."""
    neighbours.auto = False
    vm = await neighbours.create()
    command = await neighbours.command(vm, "PrepareVmPort")
    failed = CommandFailed(command="PrepareVmPort", problem=Problem(title="x"), retryable=False)
    answer = _event(failed, vm, step="port", attempt=1)
    await _forge(forger, answer, topology.EVENTS, "bigtop.webhook.CommandFailed")
    assert "is no key for CommandFailed" in await _buried(scheduled, answer)
    for exchange, key, second in (
        ("", "scheduler.dead_commands", None),
        ("", "vm_worker.commands", None),
        (topology.DEAD_LETTERS, "a.b.c", "vm_worker.PrepareVmPort"),
    ):
        envelope = envelope_for(
            command.message, source="/s", subject=vm, tenant="bigtop", step="port", attempt=1
        )
        dead = outgoing.command("vm_worker", envelope, command.message)
        await _forge(forger, dead, exchange, key, **({"CC": [second]} if second else {}))
        assert await _buried(scheduled, dead)
    neighbours.auto = True
    await neighbours.answer(command.envelope, ANSWERS["PrepareVmPort"])
    active = await neighbours.until(vm, Phase.ACTIVE)
    assert active.status.error is None
