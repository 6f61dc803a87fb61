"""Ironic or its Keystone is down: commands fail for now, and go on when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.baremetal_worker.calls import Calls
from services.baremetal_worker.wiring import make_context
from shared.contract.messages import InspectMachines, MachineInspection, MachineInspectionFailed
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable, ConfigurationError, OutcomeUnknown
from tests.integration.baremetal_worker.world import METAL, TENANT, Machine, Replica, World, only


@contextmanager
def _without(world: World, component: str) -> Iterator[None]:
    world.cloud.stop(component)
    try:
        yield
    finally:
        world.cloud.start(component)


@contextmanager
def _paused(world: World, component: str) -> Iterator[None]:
    world.cloud.pause(component)
    try:
        yield
    finally:
        world.cloud.resume(component)


async def test_without_ironic_commands_fail_for_now(world: World, replica: Replica) -> None:
    """And inspections say why they could not look."""
    with world.nodes(1) as flavor:
        machine = await replica.machine(flavor)
        with _without(world, "ironic"):
            for order in (machine.deploying(), machine.releasing):
                with pytest.raises(BackendUnavailable) as caught:
                    await replica.do(machine.id, order)
                assert caught.value.reason == Reason.BACKEND_UNAVAILABLE
                assert caught.value.detail
            inspection = MachineInspection(
                resource_id=machine.id, tenant=TENANT, node_id=machine.node_id
            )
            look = InspectMachines(metal=METAL, machines=(inspection,))
            failed = only(await replica.do("inspection", look), MachineInspectionFailed)
            assert failed.resource_ids == (machine.id,)
            assert failed.problem.reason == Reason.BACKEND_UNAVAILABLE
            with pytest.raises(BackendUnavailable):
                await replica.census()
        await machine.deploy()
        await machine.until("active")


async def test_without_keystone_a_fresh_worker_waits(world: World) -> None:
    """It has no token yet."""
    with world.nodes(1) as flavor:
        async with world.replica() as replica:
            machine = Machine(replica, flavor)
            with _without(world, "keystone"), pytest.raises(BackendUnavailable):
                await replica.do(machine.id, machine.reserving())
            await machine.reserve()


async def test_an_ironic_that_hangs_costs_a_command_no_more_than_its_time(
    world: World, replica: Replica
) -> None:
    """What was to be changed may yet be; what only looks is just late."""
    with world.nodes(1) as flavor:
        machine = await replica.machine(flavor)
        metal = replica.context.metals.metal(METAL, Deadline.after(3))
        with _paused(world, "ironic"), pytest.raises(OutcomeUnknown):
            await metal.change_node(machine.node_id, {"/extra/x": 1})
        metal = replica.context.metals.metal(METAL, Deadline.after(3))
        with _paused(world, "ironic"):
            with pytest.raises(BackendUnavailable) as caught:
                await metal.nodes()
            assert not isinstance(caught.value, OutcomeUnknown)


async def test_a_request_whose_answer_is_lost_is_not_made_twice(
    world: World, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The allocation is there; the next attempt finds it by its name."""
    change = Calls.change
    lost: list[object] = []

    async def lossy(self: Calls, call: object) -> object:
        answer = await change(self, call)  # type: ignore[arg-type]
        if not lost:
            lost.append(answer)
            raise OutcomeUnknown("The answer was lost.")
        return answer

    with world.nodes(2) as flavor:
        monkeypatch.setattr(Calls, "change", lossy)
        machine = await replica.machine(flavor)
        assert lost
        (allocation,) = world.allocations(flavor)
        assert allocation.node_id == machine.node_id


def test_a_cloud_that_is_not_in_the_clouds_file_is_a_fault(world: World) -> None:
    """Told at the start, not by the first command."""
    with pytest.raises(ConfigurationError, match="no-such-cloud"):
        make_context(world.settings(metals_file=world.metals_file(cloud="no-such-cloud")))
