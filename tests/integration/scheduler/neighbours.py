"""The front door and the vm_worker as the scheduler sees them, each under its own user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.bus import Bus, Delivery
from shared.contract import outgoing
from shared.contract.codec import Envelope, envelope_for
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    InspectVms,
    Message,
    RequestSubmitted,
    ResourceStatusChanged,
    TakeCensus,
    VmObserved,
)
from shared.contract.resources import Phase, Resource, Verb
from tests.support.conditions import eventually
from tests.support.installation import Installation
from tests.unit.scheduler.driver import ANSWERS

SPEC = {"image": "debian-12", "flavor": "small"}


@dataclass
class Neighbours:
    """``auto``: the worker answers everything well, and every server is ACTIVE when looked at."""

    door: Bus
    worker: Bus
    auto: bool = True
    commands: list[Delivery] = field(default_factory=list)
    seen: dict[str, list[Resource]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def of(cls, installation: Installation) -> AsyncIterator[Neighbours]:
        def urls(service: str) -> list[str]:
            return installation.environment(service)["COLOBUS_AMQP_URLS"].split(",")

        door = await Bus.connect(urls("front_door"), name="front_door")
        worker = await Bus.connect(urls("vm_worker"), name="vm_worker")
        made = cls(door, worker)
        try:
            await door.consume("front_door.status", made._take_status)
            await worker.consume("vm_worker.commands", made._take_command)
            yield made
        finally:
            await door.close()
            await worker.close()

    async def _take_status(self, delivery: Delivery) -> None:
        assert isinstance(delivery.message, ResourceStatusChanged)
        resource = delivery.message.resource
        self.seen.setdefault(resource.id, []).append(resource)

    async def _take_command(self, delivery: Delivery) -> None:
        if isinstance(delivery.message, InspectVms):
            for vm in delivery.message.vms:
                await self.observe(vm.tenant, vm.resource_id)
            return
        if isinstance(delivery.message, TakeCensus):
            return
        self.commands.append(delivery)
        name = type(delivery.message).__name__
        if name == "DeprovisionVm":
            self.gone.add(delivery.envelope.subject)
        if self.auto:
            await self.answer(delivery.envelope, ANSWERS[name])

    # ---- what they send

    async def request(
        self, verb: Verb, vm: str, tenant: str = "bigtop", *, id: str | None = None, **fields: Any
    ) -> None:
        message = RequestSubmitted(verb=verb, kind="vm", resource_id=vm, **fields)
        envelope = envelope_for(
            message, source="/front_door/test", subject=vm, tenant=tenant, id=id
        )
        await self.door.publish(outgoing.request(envelope, message))

    async def create(self, tenant: str = "bigtop", **fields: Any) -> str:
        vm = new_id("vm")
        await self.request(Verb.CREATE, vm, tenant, **{"spec": SPEC, **fields})
        return vm

    async def delete(self, vm: str, tenant: str = "bigtop") -> None:
        await self.request(Verb.DELETE, vm, tenant)

    async def answer(self, command: Envelope, event: Message) -> None:
        envelope = envelope_for(
            event,
            source="/vm_worker/test",
            subject=command.subject,
            tenant=command.tenant,
            id=f"{command.id}/{type(event).__name__}",
            step=command.step,
            attempt=command.attempt,
        )
        await self.worker.publish(outgoing.event("vm", envelope, event))

    async def observe(self, tenant: str, vm: str) -> None:
        gone = vm in self.gone
        event = VmObserved(
            observed_at=datetime.now(UTC),
            gone=gone,
            server_status=None if gone else "ACTIVE",
            port_status="ACTIVE",
        )
        envelope = envelope_for(event, source="/vm_worker/test", subject=vm, tenant=tenant)
        await self.worker.publish(outgoing.event("vm", envelope, event))

    # ---- what they see

    def last(self, vm: str) -> Resource | None:
        return max(self.seen.get(vm, []), key=lambda one: one.revision, default=None)

    async def until(self, vm: str, phase: Phase) -> Resource:
        async def reached() -> Resource | None:
            last = self.last(vm)
            return last if last is not None and last.status.phase is phase else None

        return await eventually(reached, within=60, what=f"{vm} is {phase}")

    async def command(self, vm: str, name: str) -> Delivery:
        async def found() -> Delivery | None:
            matches = [
                one
                for one in self.commands
                if one.envelope.subject == vm and one.envelope.message_name == name
            ]
            return matches[-1] if matches else None

        return await eventually(found, within=60, what=f"{name} for {vm}")

    async def settle(self) -> None:
        """Let what was just published be handled: a VM of its own goes all the way."""
        auto, self.auto = self.auto, True
        vm = await self.create()
        await self.until(vm, Phase.ACTIVE)
        await self.delete(vm)
        await self.until(vm, Phase.DELETED)
        self.auto = auto
