"""A metal as the ledger sees it, in memory: nodes of each flavor, and workers that answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from services.scheduler import admitting, scarce_nodes
from services.scheduler.queues import Gate, Nodes
from shared.bus import Delivery
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    CommandFailed,
    MachineUndeployed,
    Message,
    NodeReserved,
    ReleaseNode,
    ReserveNode,
    UndeployMachine,
)
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Phase, Verb
from tests.integration.scheduler.desk import Desk
from tests.integration.scheduler.test_machines import answer
from tests.unit.scheduler.test_machine_workflow import ANSWERS

NONE_FREE = "None of 3 such nodes is free. Ironic: no available nodes match"
#: How many wait for a lock of this database: other modules' tests have theirs on the same server.
WAITS = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass
class Lab:
    """``free`` nodes by flavor; ``holders`` {machine: flavor}; ``asked``: who asked, in order.

    Every replica of the scheduler is told some of what is answered.
    """

    replicas: Sequence[Desk]
    free: Counter[str]
    holders: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def desk(self) -> Desk:
        return self.replicas[0]

    async def create(self, tenant: str, flavor: str, **spec: object) -> str:
        """Somebody asks for a machine; return its id."""
        machine = new_id("machine")
        spec = {"image": "debian-12", "flavor": flavor, **spec}
        await self.desk.request(Verb.CREATE, machine, tenant, spec=spec)
        return machine

    async def delete(self, machine: str, *but: str) -> None:
        """It goes, and all that it had but for what these commands would undo."""
        tenant = (await self.desk.state(machine)).resource.tenant
        await self.desk.request(Verb.DELETE, machine, tenant)
        await self.work(*but)

    async def hold_round(self) -> None:
        """Whoever may start does; every replica tries to hold one."""
        await asyncio.gather(*(admitting.hold_round(one.context) for one in self.replicas))

    async def go_on(self) -> None:
        """A round, and all that follows from it."""
        await self.hold_round()
        await self.work()

    async def work(self, *but: str) -> None:
        """All that is ordered is done, but for these commands."""
        names = [name for name in ANSWERS if name not in but]
        while sent := [command for one in self.replicas for command in one.take(*names)]:
            await self.answer(sent)

    async def answer(self, sent: Iterable[Delivery]) -> None:
        """Do these, and tell all replicas of it side by side."""
        done = [(command, self._do(command)) for command in sent]
        told = zip(cycle(self.replicas), done, strict=False)
        await asyncio.gather(*(answer(desk, *each) for desk, each in told))

    def _do(self, command: Delivery) -> Message:
        machine, order = command.envelope.subject, command.message
        match order:
            case ReserveNode():
                return self._reserve(machine, order.flavor)
            case ReleaseNode():
                self.free[self.holders.pop(machine, "")] += 1
            case UndeployMachine():
                return MachineUndeployed()
        return ANSWERS[command.envelope.message_name]

    def _reserve(self, machine: str, flavor: str) -> Message:
        self.asked.append(machine)
        if machine not in self.holders and not self.free[flavor]:
            problem = Problem(
                title="x", detail=NONE_FREE, reason=Reason.NO_FREE_NODE, retryable=True
            )
            return CommandFailed(command="ReserveNode", problem=problem, retryable=False)
        if machine not in self.holders:
            self.free[flavor] -= 1
            self.holders[machine] = flavor
        return NodeReserved(node_id=f"node-{machine}", node_name="n", allocation_id="a")

    async def gates(self) -> dict[Nodes, Gate]:
        """The sorts of nodes of which there was none free."""
        async with self.desk.database.connection() as connection:
            return await scarce_nodes.gates(connection)

    async def gate(self, flavor: str, arch: str = "") -> Gate:
        """One of them, which there has to be."""
        return (await self.gates())[Nodes("lab", flavor, arch)]

    async def pass_time(self) -> None:
        """So long that one may try."""
        async with self.desk.database.connection() as connection:
            await connection.execute("UPDATE scarce_nodes SET not_before = now()")

    async def phase(self, machine: str) -> Phase:
        """Its phase, as the ledger has it."""
        return (await self.desk.state(machine)).phase

    async def reason(self, machine: str) -> Reason | None:
        """Why it is as it is."""
        return (await self.desk.state(machine)).resource.status.reason
