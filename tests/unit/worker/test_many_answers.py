from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from shared.bus import Bus, Delivery
from shared.contract.codec import envelope_for
from shared.contract.messages import InspectVms, VmObserved
from shared.contract.outgoing import OutgoingMessage
from shared.worker.command import Answer, Command, Observation
from shared.worker.command_worker import PUBLISHED_AT_ONCE, CommandWorker
from shared.worker.limits import Limits

MANY = PUBLISHED_AT_ONCE * 3 + 1


class CountingBus:
    """Confirms each message a few turns of the loop after it came; counts those under way."""

    def __init__(self) -> None:
        self.published: list[OutgoingMessage] = []
        self.most = self._under_way = 0

    async def publish(self, message: OutgoingMessage, *, repeated: bool = False) -> None:
        assert not repeated
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        for _ in range(3):
            await asyncio.sleep(0)
        self._under_way -= 1
        self.published.append(message)


async def see_many(_: Command[InspectVms], __: None) -> Sequence[Answer]:
    seen = VmObserved(observed_at=datetime(2026, 1, 2, tzinfo=UTC), gone=True)
    return [Observation(f"vm-{number}", "bigtop", seen) for number in range(MANY)]


async def test_what_one_look_shows_of_many_is_told_a_few_at_a_time() -> None:
    """Others' events get in between; all is told, in order, before the command is done."""
    bus = CountingBus()
    worker = CommandWorker(
        "vm_worker",
        cast(Bus, bus),
        {InspectVms: see_many},
        None,
        kind="vm",
        limits=Limits("vm_worker", lambda _: "", maximum=1),
    )
    look: Any = InspectVms(cloud="a", vms=())
    envelope = envelope_for(look, source="scheduler", subject="vm_worker/a", tenant="none")
    await worker.handle(
        Delivery(envelope, look, "vm_worker.commands", "vm_worker.X", {}, None, None, False)
    )
    assert bus.most == PUBLISHED_AT_ONCE
    ids = [message.id.rsplit("/", 1)[1] for message in bus.published]
    assert ids == [f"vm-{number}" for number in range(MANY)]
