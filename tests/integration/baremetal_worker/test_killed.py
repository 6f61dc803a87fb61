"""A worker that dies between any two of its calls: the next one brings it to its end.

Each request to Ironic is a place to die at; they are tried one after the other until an attempt
gets through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from services.baremetal_worker.calls import Calls
from tests.integration.baremetal_worker.world import Machine, Replica, World

Life = Callable[[Machine], Awaitable[object]]
Check = Callable[[Machine], Awaitable[None]]
#: More calls than any command makes.
MOST = 60


class Killed(BaseException):
    """The process is no more."""


@dataclass
class _Left:
    """Lets so many calls that change something through. With ``late`` the last has its effect."""

    left: int
    late: bool

    async def __call__(self, call: Callable[[], Awaitable[Any]]) -> Any:
        self.left -= 1
        if self.left > 0:
            return await call()
        if self.late:
            await call()
        raise Killed


@asynccontextmanager
async def _dying(world: World, left: _Left) -> AsyncIterator[Replica]:
    """A worker that dies in its so-and-so-manieth change of Ironic, before or after it is made."""
    change = Calls.change

    async def dying(self: Calls, call: Any) -> Any:
        return await left(lambda: change(self, call))

    async with world.replica(quarantine_seconds=600) as replica:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Calls, "change", dying)
            yield replica


async def _killed_everywhere(
    world: World, make: Callable[[], Awaitable[Machine]], life: Life, check: Check
) -> int:
    """Die at each place of a life, go on with a fresh worker, and check; return how many places."""
    places = 0
    for late in (False, True):
        for allowed in range(1, MOST):
            machine = await make()
            try:
                async with _dying(world, _Left(allowed, late)) as dying:
                    await life(machine.on(dying))
            except Killed:
                places += 1
                await life(machine)
                await check(machine)
            else:
                await check(machine)
                break
        else:
            pytest.fail("it never gets through")
    return places


async def test_a_machine_is_made(world: World, replica: Replica) -> None:
    """It has one node, one allocation, one connector and one target, and runs."""
    with world.nodes(1) as flavor:

        async def make() -> Machine:
            return Machine(replica, flavor)

        async def life(machine: Machine) -> None:
            await machine.reserve()
            await machine.deploy()

        async def check(machine: Machine) -> None:
            (allocation,) = world.allocations(flavor)
            machine.node_id = machine.node_id or allocation.node_id
            await machine.until("active")
            assert (allocation.name, allocation.state) == (machine.id, "active")
            assert world.disks(machine.node_id) == (1, 1)
            await machine.release()
            world.assert_clean(machine.node_id)
            assert world.allocations(flavor) == []

        assert await _killed_everywhere(world, make, life, check) >= 8


async def test_a_machine_is_unmade(world: World, replica: Replica) -> None:
    """Nothing is left on the node, and it is free."""
    with world.nodes(1) as flavor:

        async def make() -> Machine:
            return await replica.running(flavor)

        async def life(machine: Machine) -> None:
            await machine.undeploy()
            await machine.release()

        async def check(machine: Machine) -> None:
            world.assert_clean(machine.node_id)
            assert world.allocations(flavor) == []

        assert await _killed_everywhere(world, make, life, check) >= 4


async def test_a_reservation_is_taken_back(world: World, replica: Replica) -> None:
    """Of a machine that was never deployed."""
    with world.nodes(1) as flavor:

        async def make() -> Machine:
            return await replica.machine(flavor)

        async def life(machine: Machine) -> None:
            await machine.release()

        async def check(machine: Machine) -> None:
            world.assert_clean(machine.node_id)
            assert world.allocations(flavor) == []

        assert await _killed_everywhere(world, make, life, check) >= 2
