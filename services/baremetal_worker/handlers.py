"""One function per command: unpack, call, emit. `HANDLERS` is the map of this worker."""

from __future__ import annotations

from collections.abc import Sequence

from services.baremetal_worker import census, observer
from services.baremetal_worker.context import Context
from services.baremetal_worker.marks import Owner
from services.baremetal_worker.provisioner import (
    deployments,
    orphans,
    power,
    releases,
    reservations,
)
from shared.contract.messages import (
    ChangeMachinePower,
    DeployMachine,
    InspectMachines,
    MachineDeployStarted,
    MachinePowerChangeStarted,
    MachineUndeployed,
    MachineUndeployStarted,
    Message,
    NodeReleased,
    NodeReserved,
    OrphanRemoved,
    ReleaseNode,
    RemoveOrphan,
    ReserveNode,
    TakeCensus,
    UndeployMachine,
)
from shared.worker.command import Answer, Command, Handlers


async def reserve_node(command: Command[ReserveNode], context: Context) -> Sequence[Message]:
    """→ `NodeReserved`."""
    made = await reservations.reserve_node(context.metal(command), context.kit, command)
    node, allocation = made
    return [NodeReserved(node_id=node.id, node_name=node.name, allocation_id=allocation.id)]


async def release_node(command: Command[ReleaseNode], context: Context) -> Sequence[Message]:
    """→ `NodeReleased`, when the node is clean or put aside."""
    owner = Owner(command.tenant, command.resource_id)
    metal, node_id = context.metal(command), command.message.node_id
    quarantined = await releases.release_node(metal, context.kit, owner, node_id)
    return [NodeReleased(quarantined=quarantined)]


async def deploy_machine(command: Command[DeployMachine], context: Context) -> Sequence[Message]:
    """→ `MachineDeployStarted`; that it runs is seen by its login at the target."""
    await deployments.deploy_machine(context.metal(command), context.kit, command)
    return [MachineDeployStarted()]


async def undeploy_machine(
    command: Command[UndeployMachine], context: Context
) -> Sequence[Message]:
    """→ `MachineUndeployStarted`, or `MachineUndeployed` when nothing is deployed (any more)."""
    done = await deployments.undeploy_machine(context.metal(command), context.kit, command)
    return [MachineUndeployed() if done else MachineUndeployStarted()]


async def change_machine_power(
    command: Command[ChangeMachinePower], context: Context
) -> Sequence[Message]:
    """→ `MachinePowerChangeStarted`; that it is done is seen by an inspection."""
    await power.change_power(context.metal(command), context.kit, command)
    return [MachinePowerChangeStarted(operation_id=command.message.operation_id)]


async def inspect_machines(command: Command[InspectMachines], context: Context) -> Sequence[Answer]:
    """→ `MachineObserved` for each machine, or `MachineInspectionFailed`."""
    return await observer.inspect_machines(context.metals, context.kit.marks, command)


async def take_census(command: Command[TakeCensus], context: Context) -> Sequence[Answer]:
    """→ `CensusTaken`, in as many parts as it takes, and `NodeInventoryTaken`."""
    return await census.answer_census(context.metals, context.kit.marks, command)


async def remove_orphan(command: Command[RemoveOrphan], context: Context) -> Sequence[Message]:
    """→ `OrphanRemoved`."""
    order = command.message
    await orphans.remove_orphan(context.metal(command), context.kit, command)
    return [OrphanRemoved(place=order.place, what=order.what, object_id=order.object_id)]


HANDLERS: Handlers[Context] = {
    ReserveNode: reserve_node,
    DeployMachine: deploy_machine,
    UndeployMachine: undeploy_machine,
    ReleaseNode: release_node,
    ChangeMachinePower: change_machine_power,
    InspectMachines: inspect_machines,
    TakeCensus: take_census,
    RemoveOrphan: remove_orphan,
}
