"""Machines whose image says that their systems phone home: told by the second disk, noted on the
first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pycdlib
import pytest

from shared.runtime.errors import PermanentError
from tests.integration.iscsi_worker.machines import Machine
from tests.integration.iscsi_worker.phones import URL_OF_WORKER, door, file_of, number_of, phoning
from tests.integration.iscsi_worker.world import TENANT, Replica, World


@pytest.fixture
async def listening(world: World) -> AsyncIterator[Replica]:
    """A worker that systems can phone."""
    async with world.replica(phone_home_url=URL_OF_WORKER) as made:
        yield made


async def _made(replica: Replica, image: str) -> Machine:
    machine = Machine(replica)
    await machine.root(image)
    await machine.config()
    await machine.export()
    return machine


async def test_the_number_on_its_disk_is_heard(world: World, listening: Replica) -> None:
    """As often as it calls; and nobody else's counts for it."""
    image = phoning(world)
    machine, other = await _made(listening, image), await _made(listening, image)
    assert (await machine.look()).phoned_home is False
    async with door(listening) as phone:
        number = number_of(world, machine)
        for _ in range(2):
            assert (await phone.post(number, data={"instance_id": machine.id})).status == 204
    assert (await machine.look()).phoned_home is True
    assert (await other.look()).phoned_home is False


async def test_whoever_has_no_token_finds_nothing(world: World, listening: Replica) -> None:
    """Neither with another's token, nor when the machine is gone."""
    image = phoning(world)
    machine, other = await _made(listening, image), await _made(listening, image)
    own, others = number_of(world, machine), number_of(world, other)
    stolen = f"{own.rpartition('/')[0]}/{others.rpartition('/')[2]}"
    async with door(listening) as phone:
        for path in (stolen, own[:-1], f"{own}x", own.replace(TENANT, "acme"), "/phone-home/x"):
            assert (await phone.post(path)).status == 404
        assert (await phone.get(own)).status == 405
        await machine.withdraw()
        await machine.drop_config()
        await machine.drop_root()
        assert (await phone.post(own)).status == 404
    assert (await other.look()).phoned_home is False


async def test_a_note_that_was_copied_proves_nothing(world: World, listening: Replica) -> None:
    """Of an image that was made of another machine's disk."""
    first = await _made(listening, phoning(world))
    async with door(listening) as phone:
        assert (await phone.post(number_of(world, first))).status == 204
    names = listening.context.kit.names
    with world.rbd.Image(world.pool, names.image(TENANT, first.id), read_only=True) as disk:
        notes = dict(disk.metadata_list())
    image = world.make_golden(1 << 26, b"root")
    with world.rbd.Image(world.pool, f"golden.{image}") as golden:
        for key, value in notes.items():
            golden.metadata_set(key, value)
    second = await _made(listening, image)
    assert second.phones_home
    assert (await second.look()).phoned_home is False
    assert (await first.look()).phoned_home is True


async def test_without_anybody_to_listen_such_a_machine_is_refused(
    world: World, replica: Replica
) -> None:
    """Else it would boot, and never be called active."""
    machine = Machine(replica)
    await machine.root(phoning(world))
    with pytest.raises(PermanentError, match="phone home"):
        await machine.config()


async def test_other_images_systems_are_not_asked(world: World, listening: Replica) -> None:
    """Their own login proves them."""
    machine = await _made(listening, world.make_golden(1 << 26, b"root"))
    assert (await machine.look()).phoned_home is None
    with pytest.raises(pycdlib.pycdlibexception.PyCdlibInvalidInput):
        file_of(world, machine, "vendor-data")
