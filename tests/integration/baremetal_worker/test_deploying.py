"""A node is deployed from its disk once, however often that is asked."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.baremetal_worker.node_objects import Power
from services.baremetal_worker.provisioner.power import SOFT_SECONDS
from shared.contract.messages import ChangeMachinePower
from shared.contract.problems import Reason
from shared.contract.resources import Verb
from shared.worker.errors import NotFound, Refused, RefusedForNow
from tests.integration.baremetal_worker.world import METAL, Machine, Replica, World
from tests.support.conditions import eventually


def _target(world: World, machine: Machine) -> Any:
    (target,) = world.ironic.volume_targets(node=machine.node_id, details=True)
    return target


async def test_a_node_is_deployed_from_its_disk(world: World, replica: Replica) -> None:
    """Ironic knows target, account and initiator, and shows the secret to nobody."""
    with world.nodes(1) as flavor:
        machine = await replica.running(flavor)
        target = _target(world, machine)
        assert (target.volume_type, target.boot_index, target.volume_id) == ("iscsi", 0, machine.id)
        known = dict(target.properties)
        account = replica.context.kit.chap.account(machine.target, machine.initiator)
        assert known.pop("auth_password") != str(account.secret)
        assert known == {
            "target_iqn": machine.target,
            "target_lun": 1,
            "target_portal": "192.0.2.1:3260",
            "auth_method": "CHAP",
            "auth_username": account.username,
        }
        (connector,) = world.ironic.volume_connectors(node=machine.node_id, details=True)
        assert (connector.type, connector.connector_id) == ("iqn", machine.initiator)
        node = machine.node
        assert (node.storage_interface, node.extra) == ("external", {})
        mark = connector.extra["colobus"]
        assert (mark["resource"], mark["name"]) == (machine.id, "build-box")


async def test_deploying_twice_deploys_once(world: World, replica: Replica) -> None:
    """At once, on the way, and when it runs."""
    with world.nodes(1) as flavor:
        machine = await replica.machine(flavor)
        async with world.replica() as other:
            await asyncio.gather(machine.deploy(), machine.on(other).deploy())
        await machine.deploy()
        await machine.until("active")
        before, target = await machine.idle_node(), _target(world, machine)
        await machine.deploy()
        assert _target(world, machine).id == target.id
        assert machine.node.updated_at == before.updated_at
        assert world.disks(machine.node_id) == (1, 1)


async def test_a_connector_of_its_name_without_its_mark_is_replaced(
    world: World, replica: Replica
) -> None:
    """Put there by hand; once the node is undeployed, its mark alone tells whose it was."""
    with world.nodes(1) as flavor:
        machine = await replica.machine(flavor)
        world.ironic.create_volume_connector(
            node_uuid=machine.node_id, type="iqn", connector_id=machine.initiator
        )
        await machine.deploy()
        await machine.until("active")
        (connector,) = world.ironic.volume_connectors(node=machine.node_id, details=True)
        assert connector.connector_id == machine.initiator
        assert connector.extra["colobus"]["resource"] == machine.id


async def test_leftovers_of_another_disk_are_replaced(world: World, replica: Replica) -> None:
    """Somebody's who went without tidying up; a storage interface too."""
    with world.nodes(1) as flavor:
        machine = await replica.machine(flavor)
        world.ironic.update_node(machine.node, storage_interface="noop")
        world.ironic.create_volume_connector(
            node_uuid=machine.node_id, type="iqn", connector_id=f"iqn.2026-11.org.test:{machine.id}"
        )
        world.ironic.create_volume_target(
            node_uuid=machine.node_id,
            volume_type="iscsi",
            boot_index=0,
            volume_id="old",
            properties={"target_iqn": "iqn.2026-11.org.test:old", "target_lun": 0},
        )
        await machine.deploy()
        await machine.until("active")
        assert world.disks(machine.node_id) == (1, 1)
        assert _target(world, machine).volume_id == machine.id
        assert machine.node.storage_interface == "external"


async def test_the_name_before_the_target_is_free_again(world: World, replica: Replica) -> None:
    """Ironic has a connector's name once only: one on the machine's last node is taken away."""
    with world.nodes(2) as flavor:
        first = await replica.machine(flavor)
        world.ironic.create_volume_connector(
            node_uuid=first.node_id, type="iqn", connector_id=first.initiator, extra=first.mark
        )
        (allocation,) = world.allocations(flavor)
        world.ironic.delete_allocation(allocation)
        world.ironic.set_node_maintenance(first.node, "it is broken")
        second = replace(first, node_id="")
        await second.reserve()
        assert second.node_id != first.node_id
        await second.deploy()
        await second.until("active")
        assert world.disks(first.node_id) == (0, 0)
        assert world.disks(second.node_id) == (1, 1)


async def test_a_node_that_is_not_the_machines_is_left_alone(
    world: World, replica: Replica
) -> None:
    """Neither deployed, nor undeployed, nor switched, nor given back."""
    with world.nodes(1) as flavor:
        owner = await replica.running(flavor)
        before = await owner.idle_node()
        thief = Machine(replica, flavor, node_id=owner.node_id, allocation_id=str(uuid.uuid4()))
        switch = ChangeMachinePower(
            metal=METAL, node_id=owner.node_id, operation_id="op", verb=Verb.REBOOT
        )
        for order in (thief.deploying(), thief.deploying(allocation_id=None), switch):
            with pytest.raises(NotFound) as caught:
                await replica.do(thief.id, order)
            assert caught.value.reason == Reason.REMOVED_EXTERNALLY
        await thief.undeploy()
        assert (await thief.release()).quarantined is None
        assert (await thief.look()).gone
        after = owner.node
        assert (after.provision_state, after.updated_at) == ("active", before.updated_at)
        assert world.disks(owner.node_id) == (1, 1)


async def test_a_node_in_maintenance_is_not_deployed(world: World, replica: Replica) -> None:
    """Whose reason is told."""
    with world.nodes(1) as flavor:
        machine = await replica.machine(flavor)
        world.ironic.set_node_maintenance(machine.node, "a fan is broken")
        with pytest.raises(RefusedForNow) as caught:
            await machine.deploy()
        assert caught.value.reason == Reason.NODE_MAINTENANCE
        assert "a fan is broken" in caught.value.detail


async def test_an_undeployed_node_is_off_and_knows_no_target(
    world: World, replica: Replica
) -> None:
    """The order is answered twice alike; its connector tells whose it was until it is released."""
    with world.nodes(1) as flavor:
        machine = await replica.running(flavor)
        (first,) = await replica.until_done(machine.id, machine.undeploying)
        assert type(first).__name__ == "MachineUndeployStarted"
        await machine.undeploy()
        await machine.undeploy()
        assert (await machine.look()).gone
        assert world.disks(machine.node_id) == (1, 0)
        node = machine.node
        assert (node.provision_state, node.power_state) == ("available", "power off")
        assert (node.instance_id, node.extra) == (None, {})
        with pytest.raises(NotFound) as caught:  # another machine may get it any time
            await machine.deploy()
        assert caught.value.reason == Reason.REMOVED_EXTERNALLY


async def test_power_is_changed_once(world: World, replica: Replica) -> None:
    """What is so already is fine; what isn't deployed is not switched."""
    with world.nodes(1) as flavor:
        machine = await replica.machine(flavor)
        with pytest.raises(Refused):
            await machine.power(Verb.REBOOT)
        await machine.deploy(
            port_id=str(uuid.uuid4())
        )  # this Ironic has no networks to check it by
        await machine.until("active")
        for verb, state in ((Verb.STOP, "power off"), (Verb.START, "power on")):
            for _ in range(2):
                order = ChangeMachinePower(
                    metal=METAL, node_id=machine.node_id, operation_id="op", verb=verb
                )
                await replica.until_done(machine.id, order)
                await _until_power(machine, state)
        long_ago = datetime.now(UTC) - timedelta(seconds=SOFT_SECONDS)
        await machine.power(Verb.STOP, asked_at=long_ago)  # without asking the system any more
        assert _target_power(machine) != Power.SOFT_OFF
        await _until_power(machine, "power off")
        await machine.power(Verb.START)
        await _until_power(machine, "power on")
        await machine.power(Verb.REBOOT)
        await _until_power(machine, "power on")


def _target_power(machine: Machine) -> str | None:
    target: str | None = machine.node.target_power_state
    return target


async def _until_power(machine: Machine, state: str) -> None:
    async def is_so() -> bool:
        seen = await machine.look()
        return seen.power_state == state and seen.target_power_state is None

    await eventually(is_so, what=f"it is {state}")
