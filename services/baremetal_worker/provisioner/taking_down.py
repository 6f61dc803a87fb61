"""A node is brought to where it runs nothing, and put aside when that can't be done.

Workers remember nothing: how often and since when a node has resisted stands in a mark on it.
"""

from __future__ import annotations

import time
from enum import Enum, auto

from services.baremetal_worker.backend import Metal
from services.baremetal_worker.marks import PATH, Owner
from services.baremetal_worker.node_objects import Node, Power, State, Verb
from services.baremetal_worker.provisioner.belonging import busy
from services.baremetal_worker.provisioner.kit import Kit

_MAX_WORDS = 1000
#: Something is or may be deployed.
_DEPLOYED = frozenset(
    {
        State.ACTIVE,
        State.DEPLOY_FAILED,
        State.DEPLOY_WAIT,
        State.RESCUE,
        State.RESCUE_FAILED,
        State.UNRESCUE_FAILED,
    }
)
#: An undeployment is under way.
_GOING = frozenset({State.DELETING, State.CLEANING, State.CLEAN_WAIT})
#: Nothing is deployed.
_BARE = frozenset({State.AVAILABLE, State.MANAGEABLE, State.ENROLL, State.CLEAN_FAILED})


class Down(Enum):
    """How far a node has come."""

    DOWN = auto()  #: it is off, and nothing is deployed
    GOING = auto()  #: Ironic has taken the order
    GIVEN_UP = auto()  #: it is put aside


async def take_down(metal: Metal, kit: Kit, node: Node, owner: Owner) -> Down:
    """Go one step on the way to a node that is off and has nothing deployed.

    Raises `TemporaryError` while it is busy with something else.
    """
    if quarantine_words(node, owner.resource_id) is not None:
        return Down.GIVEN_UP
    state = node.provision_state
    if state in _GOING:
        return Down.GOING
    if state in _DEPLOYED:
        await metal.provision(node.id, Verb.DELETED)
        return Down.GOING
    if state == State.ERROR:  # an undeployment has failed
        if not await may_try_again(metal, kit, node, owner):
            return Down.GIVEN_UP
        await metal.provision(node.id, Verb.DELETED)
        return Down.GOING
    if state not in _BARE or node.target_power_state is not None:
        raise busy(node)
    if node.power_state == Power.OFF:
        return Down.DOWN
    if not await may_try_again(metal, kit, node, owner):
        return Down.GIVEN_UP
    await metal.power(node.id, Power.OFF)
    raise busy(node)


async def may_try_again(metal: Metal, kit: Kit, node: Node, owner: Owner) -> bool:
    """Note that a node resists; False when it has for too long: then it is put aside.

    Raises `TemporaryError` when it has become another's since it was read.
    """
    found = await metal.node(node.id)
    if found is None or found.instance_id != node.instance_id or found.extra != node.extra:
        raise busy(node)
    known = kit.marks.owner_of(node.extra)
    if known is not None and known.resource_id == owner.resource_id:
        owner = known
    now = time.time()
    if owner.since is not None and now - owner.since >= kit.quarantine_seconds:
        await _quarantine(metal, node, owner.resource_id)
        return False
    await metal.change_node(node.id, {PATH: kit.marks.mark(owner.tried_again(now))})
    return True


async def _quarantine(metal: Metal, node: Node, resource_id: str) -> None:
    words = (
        node.last_error or f"it is {node.provision_state}, {node.power_state or 'power unknown'}"
    )
    if node.fault:
        # What Ironic has put in maintenance itself, it takes out itself.
        await metal.set_maintenance(node.id, None)
    await metal.set_maintenance(node.id, _reason(resource_id) + words[:_MAX_WORDS])


def quarantine_words(node: Node, resource_id: str) -> str | None:
    """Return why a node was put aside after this resource; None where it was not. Pure."""
    begin = _reason(resource_id)
    if not node.maintenance or not node.maintenance_reason.startswith(begin):
        return None
    return node.maintenance_reason.removeprefix(begin)


def is_quarantined(node: Node) -> bool:
    """Tell whether a node is put aside, after whatever resource. Pure."""
    return node.maintenance and node.maintenance_reason.startswith(_PUT_ASIDE)


_PUT_ASIDE = "Colobus: could not be given back clean after "


def _reason(resource_id: str) -> str:
    return f"{_PUT_ASIDE}{resource_id}: "
