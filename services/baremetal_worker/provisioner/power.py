"""Reboot, stop and start: what is so already, or on the way there, counts as done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.baremetal_worker.backend import Metal
from services.baremetal_worker.node_objects import Node, Power, State
from services.baremetal_worker.provisioner.belonging import busy, own_node
from services.baremetal_worker.provisioner.kit import Kit
from shared.contract.messages import ChangeMachinePower
from shared.contract.problems import Reason
from shared.contract.resources import Verb
from shared.worker.command import Command
from shared.worker.errors import Refused

#: How long a system may take to shut itself down, in seconds; its node is locked meanwhile.
SOFT_SECONDS = 60
_ORDERS = {Verb.REBOOT: Power.REBOOT, Verb.STOP: Power.SOFT_OFF, Verb.START: Power.ON}
#: Power states, and target power states, in which the verb's effect is there or under way.
_DONE = {Verb.STOP: frozenset({Power.OFF}), Verb.START: frozenset({Power.ON})}
_UNDER_WAY = {
    Verb.REBOOT: frozenset({Power.REBOOT}),
    Verb.STOP: frozenset({Power.OFF, Power.SOFT_OFF}),
    Verb.START: frozenset({Power.ON}),
}
_DEPLOYING = frozenset({State.DEPLOYING, State.DEPLOY_WAIT})


async def change_power(metal: Metal, kit: Kit, command: Command[ChangeMachinePower]) -> None:
    """Order the power action, unless it is there or under way.

    Ironic keeps no record of reboots: one that is over when its command comes again is done again.

    Raises `NotFound` (removed_externally) when the node isn't the machine's, `Refused` when nothing
    runs on it, `TemporaryError` while it is busy with something else.
    """
    verb = command.message.verb
    order = _ORDERS.get(verb)
    if order is None:
        raise Refused(f"{verb.value} is no power action.", reason=Reason.COMMAND_REJECTED)
    reserved = (command.resource_id, command.message.allocation_id)
    node = await own_node(metal, kit.marks, command.message.node_id, *reserved)
    if _is_under_way(node, verb):
        return
    if node.provision_state in _DEPLOYING or node.target_power_state is not None:
        raise busy(node)
    if node.provision_state != State.ACTIVE:
        raise Refused(f"Node {node.name} is {node.provision_state}; nothing runs on it.")
    if order is Power.SOFT_OFF:
        await _stop(metal, node, command.message.asked_at)
        return
    await metal.power(node.id, order)


def _is_under_way(node: Node, verb: Verb) -> bool:
    if node.target_power_state is not None:
        return node.target_power_state in _UNDER_WAY[verb]
    return node.power_state in _DONE.get(verb, ())


async def _stop(metal: Metal, node: Node, asked_at: datetime | None) -> None:
    """Ask the system first; where that has not helped in time, or can't be done, switch it off.

    By the clock and not by the attempt: a command may have come to nothing before Ironic was asked.
    """
    if asked_at is None or datetime.now(UTC) < asked_at + timedelta(seconds=SOFT_SECONDS):
        try:
            await metal.power(node.id, Power.SOFT_OFF, within=SOFT_SECONDS)
        except Refused:
            await metal.power(node.id, Power.OFF)
        return
    await metal.power(node.id, Power.OFF)
