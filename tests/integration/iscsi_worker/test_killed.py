"""A worker that dies between any two of its calls: the next one brings it to its end.

Each call to Ceph and each order to tgtd is a place to die at; they are tried one after the other
until an attempt gets through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from services.iscsi_worker.rbd_backend import Cluster
from services.iscsi_worker.tgt_control import TgtControl
from shared.contract.identifiers import new_id
from tests.integration.iscsi_worker.machines import Machine
from tests.integration.iscsi_worker.world import GIB, Attachment, Replica, Volume, World

Life = Callable[[Replica], Awaitable[object]]


class Killed(BaseException):
    """The process is no more."""


@dataclass
class _Calls:
    """Lets so many calls through. With ``late`` the last one still has its effect."""

    left: int
    late: bool

    async def __call__(self, call: Callable[[], Awaitable[Any]]) -> Any:
        self.left -= 1
        if self.left < 0:
            raise Killed
        if self.left == 0 and self.late:
            await call()
            raise Killed
        return await call()


@asynccontextmanager
async def _dying(world: World, calls: _Calls) -> AsyncIterator[Replica]:
    """A worker that dies after so many calls."""
    run, bounded = Cluster.run, TgtControl._bounded

    async def dying_run(self: Cluster, *args: Any, **options: Any) -> Any:
        return await calls(lambda: run(self, *args, **options))

    async def dying_order(self: TgtControl, *args: Any, **options: Any) -> Any:
        return await calls(lambda: bounded(self, *args, **options))

    async with world.replica() as replica:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Cluster, "run", dying_run)
            patched.setattr(TgtControl, "_bounded", dying_order)
            yield replica


async def _killed_everywhere(
    world: World, life: Callable[[int], Life], check: Callable[[Replica, int], Awaitable[None]]
) -> int:
    """Die at each place of a life, go on with a fresh worker, and check; return how many places."""
    number = 0
    for late in (False, True):
        for allowed in range(1, 60):
            number += 1
            try:
                async with _dying(world, _Calls(allowed, late)) as dying:
                    await life(number)(dying)
            except Killed:
                async with world.replica() as fresh:
                    await life(number)(fresh)
                    await check(fresh, number)
            else:
                break
        else:
            pytest.fail("it never gets through")
    return number


async def test_a_volume_is_made_and_unmade(world: World) -> None:
    """A clone that is larger than what it is made of."""
    image = world.make_golden(GIB, b"golden")
    ids = [new_id("volume") for _ in range(200)]

    async def check(replica: Replica, number: int) -> None:
        volume = Volume(replica, ids[number])
        assert world.content(volume.image, 6) == b"golden"
        assert (await replica.look(volume.id, volume.id)).size_bytes == 2 * GIB

    def making(number: int) -> Life:
        return lambda r: Volume(r, ids[number]).provision(image=image, size_gib=2)

    def unmaking(number: int) -> Life:
        return lambda r: Volume(r, ids[number]).deprovision()

    async def gone(replica: Replica, number: int) -> None:
        assert Volume(replica, ids[number]).image not in world.images()

    assert await _killed_everywhere(world, making, check) > 8
    assert await _killed_everywhere(world, unmaking, gone) > 4


async def test_an_attachment_is_made_and_unmade(world: World) -> None:
    """There is one target, it works, and nothing is left of it."""
    async with world.replica() as replica:
        volumes = [(await replica.volume()).id for _ in range(60)]
    ids = [new_id("attachment") for _ in volumes]

    def attachment(replica: Replica, number: int) -> Attachment:
        return Attachment(replica, Volume(replica, volumes[number]), id=ids[number])

    async def works(replica: Replica, number: int) -> None:
        made = attachment(replica, number)
        assert (await made.look()).offered
        assert (await made.login()).refusal() == ""
        assert world.tgtd.targets().count(made.volume.image) == 1

    async def gone(replica: Replica, number: int) -> None:
        left = attachment(replica, number)
        assert left.id not in world.tgtd.targets()

    making = await _killed_everywhere(world, lambda n: lambda r: attachment(r, n).attach(), works)
    assert making > 20
    await _killed_everywhere(world, lambda n: lambda r: attachment(r, n).detach(), gone)
    async with world.replica() as replica:
        for number in range(len(volumes)):
            await attachment(replica, number).detach()
    assert world.tgtd.accounts() == []
    assert world.tgtd.targets() == ""


async def test_a_machines_second_disk_is_made_and_unmade(world: World) -> None:
    """It is whole in the end, whether its worker died before its content or in its midst."""
    ids = [new_id("machine") for _ in range(60)]

    def machine(replica: Replica, number: int) -> Machine:
        return Machine(replica, ids[number])

    async def whole(replica: Replica, number: int) -> None:
        image = machine(replica, number).offer.images[1]
        disk = world.content(image, 2 << 20)
        assert len(disk) == 1 << 20
        assert disk.count(ids[number].encode()) == 1
        assert disk.count(b"ssh_authorized_keys") == 1

    async def gone(replica: Replica, number: int) -> None:
        assert machine(replica, number).offer.images[1] not in world.images()

    making = await _killed_everywhere(world, lambda n: lambda r: machine(r, n).config(), whole)
    assert making > 3
    unmaking = await _killed_everywhere(
        world, lambda n: lambda r: machine(r, n).drop_config(), gone
    )
    assert unmaking > 1


async def test_a_machines_disks_are_offered_and_withdrawn(world: World) -> None:
    """There is one target with both, in their order, and nothing is left of it."""
    image = world.make_golden(1 << 26, b"r" * 512)
    ids = [new_id("machine") for _ in range(50)]
    async with world.replica() as replica:
        for id in ids:
            await Machine(replica, id).root(image)
            await Machine(replica, id).config()

    def machine(replica: Replica, number: int) -> Machine:
        return Machine(replica, ids[number])

    async def works(replica: Replica, number: int) -> None:
        made = machine(replica, number)
        assert (await made.look()).offered
        told = await made.export()
        assert (told.lun, told.config_lun) == (1, 2)
        assert made.login(told.lun).reads(b"r" * 512)

    async def gone(replica: Replica, number: int) -> None:
        assert ids[number] not in world.tgtd.targets()

    making = await _killed_everywhere(world, lambda n: lambda r: machine(r, n).export(), works)
    assert making > 24
    await _killed_everywhere(world, lambda n: lambda r: machine(r, n).withdraw(), gone)
    async with world.replica() as replica:
        for number in range(len(ids)):
            await machine(replica, number).withdraw()
    assert world.tgtd.accounts() == []
    assert world.tgtd.targets() == ""
