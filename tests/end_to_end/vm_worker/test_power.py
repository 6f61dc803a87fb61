from __future__ import annotations

import asyncio

import pytest

from shared.contract.messages import ChangeVmPower, VmObserved, VmPowerChangeStarted
from shared.contract.problems import Reason
from shared.contract.resources import Verb
from shared.worker.errors import NotFound
from tests.end_to_end.vm_worker.world import CLOUD, Replica, Vm, World, only


async def change(vm: Vm, verb: Verb, *, repeated: bool = False) -> None:
    assert vm.server_id is not None
    message = ChangeVmPower(
        cloud=CLOUD, server_id=vm.server_id, operation_id=f"op-{verb.value}", verb=verb
    )
    started = only(await vm.do(message, repeated=repeated), VmPowerChangeStarted)
    assert started.operation_id == f"op-{verb.value}"


def is_now(status: str, seen: VmObserved) -> bool:
    return (seen.server_status, seen.task_state) == (status, None)


def reboots(world: World, vm: Vm) -> int:
    actions = world.admin.compute.server_actions(vm.server_id)
    return sum(action.action == "reboot" for action in actions)


async def test_change_vm_power_does_what_it_says_once_and_twice(
    world: World, replica: Replica
) -> None:
    """What is so already counts as done; a repeated reboot doesn't reboot again."""
    vm = replica.vm()
    await vm.port()
    await vm.server()
    await vm.active()
    for verb, status in (
        (Verb.START, "ACTIVE"),
        (Verb.STOP, "SHUTOFF"),
        (Verb.STOP, "SHUTOFF"),
        (Verb.START, "ACTIVE"),
        (Verb.REBOOT, "ACTIVE"),
    ):
        await change(vm, verb)
        await change(vm, verb, repeated=True)
        await vm.until(lambda seen, status=status: is_now(status, seen))  # type: ignore[misc]
    assert reboots(world, vm) == 1
    await change(vm, Verb.STOP)
    await vm.until(lambda seen: is_now("SHUTOFF", seen))
    await change(vm, Verb.REBOOT)
    await vm.until(lambda seen: is_now("ACTIVE", seen))
    await vm.remove()


async def test_change_vm_power_twice_at_once_is_one_change(
    replica: Replica, other_replica: Replica
) -> None:
    """Nova serialises; the second finds what the first began."""
    vm = replica.vm()
    await vm.port()
    await vm.server()
    await vm.active()
    await asyncio.gather(
        change(vm, Verb.STOP), change(vm.by(other_replica), Verb.STOP, repeated=True)
    )
    await vm.until(lambda seen: is_now("SHUTOFF", seen))
    await vm.remove()


async def test_power_of_a_server_that_is_gone_cannot_be_changed(replica: Replica) -> None:
    """The reason says what happened to it."""
    vm = replica.vm()
    vm.server_id = "00000000-0000-4000-8000-000000000000"
    for verb in (Verb.STOP, Verb.START, Verb.REBOOT):
        for repeated in (False, True):
            with pytest.raises(NotFound) as gone:
                await change(vm, verb, repeated=repeated)
            assert gone.value.reason == Reason.REMOVED_EXTERNALLY
