"""What a node knows of its disk: a connector (who logs in) and a target (where, as which account).

Wrong ones and leftovers are replaced; of targets those to boot from, which Ironic has one of only.
Ironic shows no password, but the account's name follows from the same key (`shared.worker.chap`).
"""

from __future__ import annotations

from dataclasses import replace

from services.baremetal_worker.backend import Metal
from services.baremetal_worker.marks import Marks, Owner
from services.baremetal_worker.node_objects import Connector, Node, Power, Target
from services.baremetal_worker.provisioner.belonging import Disk, busy
from services.baremetal_worker.provisioner.kit import Kit
from shared.contract.messages import DeployMachine
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.chap import Account
from shared.worker.errors import Conflict


def wanted_target(kit: Kit, order: DeployMachine, owner: Owner) -> Target:
    """Return the target that a machine boots from. Pure."""
    account = kit.chap.account(order.target_iqn, order.initiator_iqn)
    return Target(
        id="",
        node_id=order.node_id,
        volume_id=owner.resource_id,
        boot_index=0,
        iqn=order.target_iqn,
        lun=order.lun,
        portal=order.portals[0],
        username=account.username,
        extra=kit.marks.as_extra(owner),
    )


def same_target(found: Target, wanted: Target) -> bool:
    """Tell whether a target is what is wanted. Pure."""
    return replace(found, id="", extra={}) == replace(wanted, id="", extra={})


async def prepare_disk(
    metal: Metal, kit: Kit, node: Node, order: DeployMachine, owner: Owner
) -> None:
    """Have the node boot from this disk. Raises `TemporaryError` while it must go off first."""
    await _connect(metal, kit, node, order.initiator_iqn, owner)
    wanted = wanted_target(kit, order, owner)
    account = kit.chap.account(order.target_iqn, order.initiator_iqn)
    try:
        await metal.add_target(wanted, account)  # hardly ever the node knows one to boot from
    except Conflict:
        await _replace_target(metal, node, wanted, account)


async def _replace_target(metal: Metal, node: Node, wanted: Target, account: Account) -> None:
    known = await metal.targets(node.id)
    right = next((one for one in known if same_target(one, wanted)), None)
    for wrong in [one for one in known if one is not right and one.boot_index == 0]:
        await _must_be_off(metal, node)
        await metal.remove_target(wrong.id)
    if right is None:
        try:
            await metal.add_target(wanted, account)
        except Conflict as error:  # since we looked: another replica has the same command
            raise _overtaken(error) from error


async def _connect(metal: Metal, kit: Kit, node: Node, initiator_iqn: str, owner: Owner) -> None:
    known = await metal.connectors(node.id)
    # By its mark, too: once the node is undeployed, that alone tells whose it was.
    right = next(
        (
            one
            for one in known
            if one.initiator_iqn == initiator_iqn and kit.marks.are(owner.resource_id, one.extra)
        ),
        None,
    )
    for wrong in [one for one in known if one is not right]:
        await _must_be_off(metal, node)
        await metal.remove_connector(wrong.id)
    if right is not None:
        return
    extra = kit.marks.as_extra(owner)
    try:
        await metal.add_connector(node.id, initiator_iqn, extra)
    except Conflict as error:
        holder = await _holder(metal, kit.marks, initiator_iqn, owner)
        if holder is None:
            raise
        if holder.node_id == node.id:
            raise _overtaken(error) from error
        # The machine had another node before, which could not be given back clean.
        await metal.remove_connector(holder.id)
        await metal.add_connector(node.id, initiator_iqn, extra)


async def _holder(metal: Metal, marks: Marks, initiator_iqn: str, owner: Owner) -> Connector | None:
    """Return what bears this name, where it is the resource's own."""
    named = (one for one in await metal.connectors() if one.initiator_iqn == initiator_iqn)
    return next((one for one in named if marks.are(owner.resource_id, one.extra)), None)


def _overtaken(error: Conflict) -> TemporaryError:
    """Another replica has the same command, and was faster: the next attempt sees what it did."""
    return TemporaryError(error.detail, reason=Reason.IN_USE, retry_after=1)


async def _must_be_off(metal: Metal, node: Node) -> None:
    """Ironic takes nothing away from a node that is on."""
    if node.power_state != Power.OFF:
        if node.target_power_state is None:
            await metal.power(node.id, Power.OFF)
        raise busy(node)


async def forget_target(metal: Metal, marks: Marks, node_id: str, resource_id: str) -> None:
    """Have a node that is off boot from no disk of this resource any more."""
    for target in await metal.targets(node_id):
        if marks.are(resource_id, target.extra):
            await metal.remove_target(target.id)


async def forget_disk(metal: Metal, disk: Disk) -> None:
    """Have a node that is off know this disk no more; connectors, by which it is known, go last."""
    for target in disk.targets:
        await metal.remove_target(target.id)
    for connector in disk.connectors:
        await metal.remove_connector(connector.id)
