"""A machine is deployed on its node, from its disk, and undeployed."""

from __future__ import annotations

from services.baremetal_worker.backend import Metal
from services.baremetal_worker.marks import Owner
from services.baremetal_worker.node_objects import Node, State, Verb
from services.baremetal_worker.provisioner.belonging import busy, is_of, own_node
from services.baremetal_worker.provisioner.disks import forget_target, prepare_disk
from services.baremetal_worker.provisioner.kit import Kit
from services.baremetal_worker.provisioner.readiness import make_ready
from services.baremetal_worker.provisioner.taking_down import Down, take_down
from shared.contract.messages import DeployMachine, UndeployMachine
from shared.contract.problems import Reason
from shared.worker.command import Command
from shared.worker.errors import Refused, RefusedForNow

#: An earlier deployment of this machine has ended here. It is not tried again in place: who logged
#: in to its disk then may still be shown there, and would prove the second one (decision 0038).
_FAILED = frozenset({State.DEPLOY_FAILED, State.ERROR})
_STARTED = frozenset({State.DEPLOYING, State.DEPLOY_WAIT, State.ACTIVE})


async def deploy_machine(metal: Metal, kit: Kit, command: Command[DeployMachine]) -> None:
    """Have Ironic start the deployment, unless it has.

    Raises `NotFound` (removed_externally) when the node isn't the machine's, `Refused` with
    Ironic's words when it finds something wrong or has failed at it (deploy_failed),
    `RefusedForNow` (node_maintenance), `TemporaryError` while the node is busy.
    """
    order = command.message
    reserved = (command.resource_id, order.allocation_id)
    node = await own_node(metal, kit.marks, order.node_id, *reserved)
    owner = Owner(command.tenant, command.resource_id, order.name)
    if node.provision_state in _STARTED:
        await _check_disk(metal, node, order, owner)
        return
    if node.provision_state in _FAILED:
        words = node.last_error or f"Ironic says {node.provision_state}."
        raise Refused(words, reason=Reason.DEPLOY_FAILED)
    if node.maintenance:
        detail = f"Node {node.name} is in maintenance: {node.maintenance_reason or 'no reason'}"
        raise RefusedForNow(detail, reason=Reason.NODE_MAINTENANCE)
    if node.provision_state != State.AVAILABLE:
        raise busy(node)
    await make_ready(metal, node)
    await prepare_disk(metal, kit, node, order, owner)
    await _attach(metal, node, order.port_id)
    await metal.provision(node.id, Verb.ACTIVE)  # which checks first what it knows of the node


async def _attach(metal: Metal, node: Node, port_id: str | None) -> None:
    """Have the node use this port, and none that a machine before has left."""
    if port_id is None and not node.has_networks:
        return
    attached = await metal.vifs(node.id)
    for left in [one for one in attached if one != port_id]:
        await metal.detach_vif(node.id, left)
    if port_id is not None and port_id not in attached:
        await metal.attach_vif(node.id, port_id)


async def _check_disk(metal: Metal, node: Node, order: DeployMachine, owner: Owner) -> None:
    known = await metal.targets(node.id)
    if not any(one.iqn == order.target_iqn and one.volume_id == owner.resource_id for one in known):
        raise Refused(f"Node {node.name} is {node.provision_state}, but not from this disk.")


async def undeploy_machine(metal: Metal, kit: Kit, command: Command[UndeployMachine]) -> bool:
    """Have Ironic undeploy the node; True when that is done, or the node isn't the machine's.

    A node that resists for too long is put aside (`taking_down`): nothing more is to be expected
    of it, and who takes its disk away takes it from a machine that may still run. Its connector
    stays: by that it is known until it is given back.

    Raises `TemporaryError` while the node is busy with something else.
    """
    order, resource_id = command.message, command.resource_id
    node = await metal.node(order.node_id)
    if node is None or not await is_of(metal, kit.marks, node, resource_id, order.allocation_id):
        return True
    progress = await take_down(metal, kit, node, Owner(command.tenant, resource_id))
    if progress is Down.DOWN:  # with some drivers its target stays
        await forget_target(metal, kit.marks, node.id, resource_id)
    return progress is not Down.GOING
