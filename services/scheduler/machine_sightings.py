"""What is seen of a machine: by Ironic of its node, by the store of its disks. Pure.

Neither proves it alone. Ironic says active as soon as the power is on, whatever becomes of the
boot; and the firmware logs in to the disk before any system does. So a machine is up when Ironic
says active *and* the target has a session of an operating system, or, where its image says so, the
system has phoned home. Target and disk are made anew for each machine, so that either is of this
one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from services.scheduler.definitions import Sighting
from services.scheduler.state import ResourceState
from shared.contract.messages import (
    InspectMachines,
    InspectStorage,
    MachineInspection,
    MachineObserved,
    StorageObserved,
    StoredThing,
)
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Operation, Phase, Verb

#: The step that reserves a node, and the one that offers the disks.
NODE, TARGET = "node", "target"
#: The handle that says that its system is told to phone home.
PHONES_HOME = "phones_home"
#: The handles that say how far the boot has come, as far as was seen.
_DEPLOYED, _REACHED, _LOGGED_IN = "deployed", "disk_reached", "system_logged_in"
#: Ironic's words for a node that nothing is deployed on (its states documentation).
_BARE = frozenset({"available", "manageable", "enroll"})
_UNDOING = frozenset({"deleting", "cleaning", "clean wait"})
_BROKEN = frozenset({"deploy failed", "error", "clean failed"})
#: So long after it was first seen so, a node that was taken away is given up.
_GONE_FOR_GOOD = timedelta(seconds=5)
#: So long the baremetal_worker asks a system to stop before it cuts the power.
_SOFT = timedelta(seconds=60)
_POWER = {"power on": "running", "power off": "stopped"}
_POWER_ENDS = {Verb.REBOOT: "power on", Verb.START: "power on", Verb.STOP: "power off"}

Seen = MachineObserved | StorageObserved


# ---- who is asked


def metal_of(state: ResourceState) -> str | None:
    """Return where its node is looked at; None before it has one."""
    return state.place if state.handles.get("node_id") else None


def store_of(state: ResourceState) -> str:
    """Return where its disks are."""
    placement = state.resource.status.placement
    if placement is None or placement.store is None:
        raise LookupError(f"{state.resource.id} has no store")
    return placement.store


def exported_at(state: ResourceState) -> str | None:
    """Return where its disks are looked at; None before they are offered."""
    return store_of(state) if state.handles.get("target_iqn") else None


def inspect_nodes(metal: str, states: Sequence[ResourceState]) -> InspectMachines:
    """Return the command that looks at the nodes of all these."""
    machines = (
        MachineInspection(
            resource_id=state.resource.id,
            tenant=state.resource.tenant,
            node_id=state.handles["node_id"],
            allocation_id=state.handles.get("allocation_id"),
        )
        for state in states
    )
    return InspectMachines(metal=metal, machines=tuple(machines))


def inspect_disks(store: str, states: Sequence[ResourceState]) -> InspectStorage:
    """Return the command that looks at the disks of all these."""
    things = (
        StoredThing(
            resource_id=state.resource.id,
            tenant=state.resource.tenant,
            volume=state.resource.id,
            phones_home=_is_silent(state),
        )
        for state in states
    )
    return InspectStorage(store=store, things=tuple(things))


def _is_silent(state: ResourceState) -> bool:
    """Tell whether its system has still to phone home; what is active has."""
    booting = state.resource.status.phase is Phase.PROVISIONING
    return booting and PHONES_HOME in state.handles


def is_about(state: ResourceState, seen: Seen) -> bool:
    """Nobody tells of machines by himself; what was asked for is of this very one."""
    del state, seen
    return True


# ---- what it means


def booted(state: ResourceState, seen: Seen) -> Sighting:
    """Up when both have been seen, in this order: Ironic's word, then a system at the disk."""
    if isinstance(seen, MachineObserved):
        return _deployed(state, seen)
    if seen.gone:
        problem = Problem(
            title="Disk disappeared",
            detail=f"{store_of(state)} shows no root disk of this machine any more.",
            retryable=True,
        )
        return Sighting(failed=(Reason.REMOVED_EXTERNALLY, problem))
    phones = PHONES_HOME in state.handles
    up = seen.phoned_home if phones else seen.systems
    if up and state.handles.get(_DEPLOYED):
        return Sighting(done=True)
    if seen.systems and phones:
        return _unproven(state, _REACHED, _LOGGED_IN)
    if seen.initiators:
        return _unproven(state, _REACHED)
    return _unproven(state) if state.handles.get(_DEPLOYED) else Sighting()


def _unproven(state: ResourceState, *came_to: str, **outputs: Any) -> Sighting:
    """It has come so far, and no further: which is told once Ironic has switched it on."""
    handles = dict.fromkeys(came_to, "yes")
    now = msgspec.structs.replace(state, handles={**state.handles, **handles})
    why = (Reason.NOT_BOOTED, so_far(now)) if now.handles.get(_DEPLOYED) else None
    return Sighting(unproven=True, why=why, handles=handles, outputs=outputs)


def _deployed(state: ResourceState, seen: MachineObserved) -> Sighting:
    if seen.gone:
        problem = Problem(
            title="Node lost", detail="Ironic has given its node away.", retryable=True
        )
        return Sighting(failed=(Reason.REMOVED_EXTERNALLY, problem))
    if seen.provision_state == "active":
        return _unproven(state, _DEPLOYED, **outputs_of(state, seen))
    if seen.provision_state in _BROKEN:
        detail = seen.last_error or f"Ironic says {seen.provision_state} and gives no reason."
        problem = Problem(title="Deploy failed", detail=detail, retryable=True)
        return Sighting(failed=(Reason.DEPLOY_FAILED, problem))
    if seen.provision_state in _BARE:
        # Not ordered again: who logged in the first time may still be shown, and would prove it.
        detail = f"Ironic has accepted the deployment, and says {seen.provision_state}."
        problem = Problem(title="Not deployed", detail=detail, retryable=True)
        return Sighting(failed=(Reason.DEPLOY_FAILED, problem))
    return Sighting()


def so_far(state: ResourceState) -> str:
    """Return how far the boot has come, in words."""
    if not state.handles.get(_DEPLOYED):
        return "Ironic has not said that it is deployed."
    if not state.handles.get(_REACHED):
        return "Ironic says active, but nobody was seen logged in to its disk."
    if state.handles.get(_LOGGED_IN):
        return "An operating system has logged in to its disk, but has not phoned home."
    return "The firmware has logged in to its disk, but no operating system has."


def unbooted(state: ResourceState, seen: Seen) -> Sighting:
    """Undeployed when Ironic has it off and bare, or doesn't know it as this one's any more."""
    del state
    if not isinstance(seen, MachineObserved):
        return Sighting()
    if seen.gone or (seen.provision_state in _BARE and seen.power_state == "power off"):
        return Sighting(done=True)
    if seen.provision_state in _BROKEN:
        detail = seen.last_error or f"Ironic says {seen.provision_state} and gives no reason."
        reason = Reason.BACKEND_REFUSED
        problem = Problem(title="Undeploy failed", detail=detail, reason=reason, retryable=True)
        return Sighting(again=problem)
    return Sighting(unproven=seen.provision_state in _UNDOING)


def condition(state: ResourceState, seen: Seen) -> tuple[Reason, str, bool] | None:
    """Return what is wrong with a living one, in words, and whether it is lost; None: nothing."""
    if isinstance(seen, MachineObserved):
        return _condition_of_node(state, seen)
    if seen.gone:
        return Reason.REMOVED_EXTERNALLY, f"{store_of(state)} shows no root disk any more.", False
    if not seen.offered:
        return (
            Reason.BACKEND_UNAVAILABLE,
            "The gateway had lost its disks; it has them again.",
            (False),
        )
    return None


def _condition_of_node(
    state: ResourceState, seen: MachineObserved
) -> tuple[Reason, str, bool] | None:
    if seen.gone or seen.provision_state in _BARE:
        words = f"{state.place} has taken its node away."
        return Reason.REMOVED_EXTERNALLY, words, _is_gone_for_good(state, seen)
    if seen.maintenance is not None:
        return Reason.NODE_MAINTENANCE, f"Its node is in maintenance: {seen.maintenance}", False
    if seen.provision_state != "active":
        detail = f"Ironic says {seen.provision_state}: {seen.last_error or 'no reason given'}"
        return Reason.SERVER_ERROR, detail, False
    return None


def _is_gone_for_good(state: ResourceState, seen: MachineObserved) -> bool:
    """One look may have gone wrong, and what follows from it deletes a disk."""
    before = state.seen.get(MachineObserved.__name__)
    first = before.at if before and before.reason is Reason.REMOVED_EXTERNALLY else seen.observed_at
    return first + _GONE_FOR_GOOD <= seen.observed_at


def outputs_of(state: ResourceState, seen: Seen) -> Mapping[str, Any]:
    """Return what a living one shows of itself: {output: value}."""
    del state
    if not isinstance(seen, MachineObserved) or seen.power_state is None:
        return {}
    return {"power_state": _POWER.get(seen.power_state, seen.power_state)}


def mended_by(state: ResourceState, seen: Seen) -> str | None:
    """A gateway that was restarted may have forgotten the machine's target."""
    del state
    lost = isinstance(seen, StorageObserved) and not seen.offered and not seen.gone
    return TARGET if lost else None


def power_changed(operation: Operation, seen: Seen) -> bool:
    """Nothing is under way any more, and the power is as it was asked for."""
    if not isinstance(seen, MachineObserved) or seen.target_power_state is not None:
        return False
    return seen.power_state == _POWER_ENDS.get(operation.verb)


def power_unchanged(operation: Operation, seen: Seen) -> Problem | None:
    """A system that was asked to stop, and has had its time, is told again: then it is cut off."""
    if not isinstance(seen, MachineObserved) or operation.started_at is None:
        return None
    waited = seen.observed_at >= operation.started_at + _SOFT and seen.target_power_state is None
    if operation.verb is not Verb.STOP or not waited or seen.power_state != "power on":
        return None
    detail = seen.last_error or "Its system was asked to stop, and is still on."
    return Problem(title="Not stopped", detail=detail, reason=Reason.BACKEND_REFUSED)
