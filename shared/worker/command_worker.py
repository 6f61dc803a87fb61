"""The command loop: a delivery comes in, its handler asks the backend, events go out, then the ack.

The bus acknowledges when `CommandWorker.handle` returns, and it returns only after every event is
confirmed. An error that is no `ColobusError` is our bug: it goes up to the bus, which delays the
command a few times and then dead-letters it, so that its step ends.

All backends share the queue, and what waits here keeps a place of its prefetch. So nothing waits
for long: one backend that hangs must not hold up the commands for the others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import structlog

from shared.bus import Bus, Consumer, Delivery, RejectedMessage
from shared.contract.messages import Message
from shared.contract.problems import Reason
from shared.runtime.errors import ColobusError, PermanentError, TemporaryError
from shared.runtime.locks import KeyedLocks, StillHeld
from shared.runtime.logs import bind_message
from shared.runtime.tenants import is_tenant
from shared.worker import outcome
from shared.worker.command import Answer, Command, CommandHandler, Handlers
from shared.worker.limits import Limits, NoSlot, Slot
from shared.worker.metrics import COMMAND_SECONDS, COMMANDS
from shared.worker.turns import turn_of

#: How long a command waits for a place on its backend, in seconds. After that it is given back to
#: the scheduler, whose pauses between attempts take no place here.
PATIENCE = 10.0
#: How many events of one command are on their way to the broker at once. One that looks at a
#: thousand resources has as many: what others tell meanwhile must not stand behind all of them.
PUBLISHED_AT_ONCE = 8

C = TypeVar("C")
_log = structlog.stdlib.get_logger(__name__)


class CommandWorker(Generic[C]):
    """Consumes ``<name>.commands``; ``context`` is handed to every handler.

    Args:
        name: The worker's name: its queue, and the source of its events.
        kind: The word of its events' routing keys where they are about no resource of its kinds.
        limits: The bound per backend.
        patience: How long a command waits for a place on its backend, in seconds.
    """

    def __init__(
        self,
        name: str,
        bus: Bus,
        handlers: Handlers[C],
        context: C,
        *,
        kind: str,
        limits: Limits,
        patience: float = PATIENCE,
    ) -> None:
        self._name = name
        self._bus = bus
        self._handlers = handlers
        self._context = context
        self._kind = kind
        self._limits = limits
        self._patience = patience
        self._deliveries = KeyedLocks()
        self._under_way = KeyedLocks()

    async def start(self, *, prefetch: int = 128) -> Consumer:
        """Begin to take commands; ``prefetch`` of them at most are here at once."""
        return await self._bus.consume(f"{self._name}.commands", self.handle, prefetch=prefetch)

    async def handle(self, delivery: Delivery) -> None:
        """Carry out one command and publish what came of it."""
        handler = self._handlers.get(type(delivery.message))
        if handler is None:
            raise RejectedMessage(f"{self._name} has no handler for {delivery.routing_key}")
        if not is_tenant(delivery.envelope.tenant):
            raise RejectedMessage("the tenant has no name that could be answered under")
        bind_message(delivery.envelope)
        # A second delivery of a command must not be answered, least of all as expired, while the
        # first is under way: it waits for as long as that takes.
        async with self._deliveries.hold(delivery.envelope.id):
            command = Command.of(delivery)
            answers = await self._answer(handler, command)
            await self._publish(command, answers, repeated=delivery.repeated)

    async def _answer(
        self, handler: CommandHandler[C], command: Command[Message]
    ) -> Sequence[Answer]:
        try:
            answers = await self._run(handler, command)
        except (TemporaryError, PermanentError) as error:
            self._count(command, error.reason or "failed")
            # That one came too late under load is no failure: its sender sends another, and counts.
            level = logging.INFO if error.reason == Reason.COMMAND_EXPIRED else logging.WARNING
            _log.log(level, "command failed", reason=error.reason, detail=error.detail)
            return [outcome.failed(command, error)]
        self._count(command, "done")
        if command.envelope.step is not None:  # what only looks comes every few seconds
            _log.info("command done", command=command.envelope.message_name)
        return answers

    async def _run(self, handler: CommandHandler[C], command: Command[Message]) -> Sequence[Answer]:
        async with self._alone(command), self._slot(command) as slot:
            if command.deadline.expired:
                raise outcome.expired()
            started = time.monotonic()
            try:
                return await handler(command, self._context)
            except ColobusError as error:
                _teach(slot, error)
                raise
            finally:
                name = command.envelope.message_name
                COMMAND_SECONDS.labels(self._name, name).observe(time.monotonic() - started)

    @asynccontextmanager
    async def _alone(self, command: Command[Message]) -> AsyncIterator[None]:
        """Two commands of one step don't work on one subject side by side: they take turns.

        A sender that was killed sends what it had sent again, and then the undo of it: that one
        must not come first. What has no step takes turns with its own sort.
        """
        step = command.envelope.step
        key = (command.envelope.subject, type(command.message) if step is None else step)
        try:
            async with self._under_way.hold(key, command.deadline.remaining()):
                yield
        except StillHeld:
            raise outcome.expired() from None

    @asynccontextmanager
    async def _slot(self, command: Command[Message]) -> AsyncIterator[Slot]:
        lasts = command.deadline.remaining() > self._patience
        patience = command.deadline.remaining(at_most=self._patience)
        try:
            limit, turn = self._limits.of(command.message), turn_of(command.envelope)
            async with limit.slot(patience, turn) as slot:
                yield slot
        except NoSlot:
            raise outcome.busy() if lasts else outcome.expired() from None

    async def _publish(
        self, command: Command[Message], answers: Sequence[Answer], *, repeated: bool
    ) -> None:
        messages = outcome.events(self._name, self._kind, command, answers)
        for first in range(0, len(messages), PUBLISHED_AT_ONCE):
            some = messages[first : first + PUBLISHED_AT_ONCE]
            await asyncio.gather(*(self._bus.publish(one, repeated=repeated) for one in some))

    def _count(self, command: Command[Message], result: str) -> None:
        COMMANDS.labels(self._name, command.envelope.message_name, result).inc()


def _teach(slot: Slot, error: ColobusError) -> None:
    if outcome.is_overload(error):
        slot.falter()
