"""A worker of the tests' own: two commands, and a backend that does as the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from shared.bus import Bus, Delivery
from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.identifiers import new_ulid
from shared.contract.messages import (
    ChangeVmPower,
    DeprovisionVm,
    Message,
    VmDeprovisioned,
    VmPowerChangeStarted,
)
from shared.worker.command import Answer, Command, Handlers
from shared.worker.command_worker import PATIENCE, CommandWorker
from shared.worker.limits import Limits
from tests.support.bus import Broker, Recorder, bus_at

NAME = "vm_worker"
Act = Callable[[Command[Message]], Awaitable[None]]


@dataclass
class Backend:
    """Keeps the commands that reached a handler; ``act`` is what happens then."""

    act: Act
    commands: list[Command[Message]] = field(default_factory=list)

    async def work(self, command: Command[Message]) -> None:
        """Be asked by a handler."""
        self.commands.append(command)
        await self.act(command)


async def deprovision_vm(command: Command[DeprovisionVm], backend: Backend) -> Sequence[Answer]:
    await backend.work(command)
    return [VmDeprovisioned()]


async def change_vm_power(command: Command[ChangeVmPower], backend: Backend) -> Sequence[Answer]:
    await backend.work(command)
    return [VmPowerChangeStarted(operation_id=command.message.operation_id)]


HANDLERS: Handlers[Backend] = {DeprovisionVm: deprovision_vm, ChangeVmPower: change_vm_power}


async def succeed(_: Command[Message]) -> None:
    """The backend accepts at once."""


@dataclass
class Scene:
    """A scheduler's view: send commands, keep the events that come back."""

    scheduler: Bus
    events: Recorder
    backend: Backend
    limits: Limits

    async def send(
        self,
        message: Message,
        *,
        id: str | None = None,
        subject: str = "vm-1",
        tenant: str = "bigtop",
        not_after: datetime | None = None,
        repeated: bool = False,
    ) -> str:
        """Publish a command; return its id."""
        id = id or new_ulid()
        envelope = envelope_for(
            message,
            id=id,
            source="scheduler",
            subject=subject,
            tenant=tenant,
            attempt=1,
            step="server",
            not_after=not_after,
        )
        await self.scheduler.publish(outgoing.command(NAME, envelope, message), repeated=repeated)
        return id

    async def answer_to(self, id: str) -> Delivery:
        """Wait for the (first) event that this command caused."""
        while True:
            for delivery in self.events.deliveries:
                if delivery.envelope.causationid == id:
                    return delivery
            await self.events.wait_for(len(self.events.deliveries) + 1)


def limits_of(maximum: int) -> Limits:
    """A bound per cloud."""
    return Limits(NAME, lambda message: str(getattr(message, "cloud", "")), maximum=maximum)


async def start_worker(bus: Bus, backend: Backend, limits: Limits, patience: float) -> None:
    """Start the worker on this bus."""
    worker = CommandWorker(
        NAME, bus, HANDLERS, backend, kind="vm", limits=limits, patience=patience
    )
    await worker.start()


@asynccontextmanager
async def scene(
    broker: Broker, act: Act = succeed, *, maximum: int = 16, patience: float = PATIENCE
) -> AsyncIterator[Scene]:
    """One worker at work, and a scheduler that listens to it."""
    async with bus_at(broker.url) as scheduler, bus_at(broker.url, name=NAME) as own:
        events, backend, limits = Recorder(), Backend(act), limits_of(maximum)
        await scheduler.consume("scheduler.events", events)
        await start_worker(own, backend, limits, patience)
        yield Scene(scheduler, events, backend, limits)
