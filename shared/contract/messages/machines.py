"""The baremetal_worker's commands and events: nodes, and the machines that are booted on them.

A metal is the bare metal of one Ironic (`shared.contract.resources.Sort`).
"""

from __future__ import annotations

from shared.contract.messages.base import Message
from shared.contract.problems import Problem
from shared.contract.resources import Moment, Verb


class ReserveNode(Message, frozen=True):
    """Have Ironic choose a free node of ``flavor`` (and ``arch``, in Nova's words) and keep it.

    ``name`` is what the machine on it will be called, for the node's operators.
    """

    metal: str
    flavor: str
    arch: str | None = None
    name: str | None = None


class ReleaseNode(Message, frozen=True):
    """Give the node back clean. None: it may have been reserved under the machine's name."""

    metal: str
    node_id: str | None = None


class DeployMachine(Message, frozen=True):
    """Start booting the node from its disk on an iSCSI target.

    The CHAP secret is not told: it follows from the names of target and initiator.
    ``allocation_id`` is, here and in what follows, the reservation by which the node is the
    machine's.
    """

    metal: str
    node_id: str
    target_iqn: str
    initiator_iqn: str
    lun: int
    portals: tuple[str, ...]
    port_id: str | None = None
    name: str | None = None
    allocation_id: str | None = None


class UndeployMachine(Message, frozen=True):
    """Switch the node off and have it forget its disk."""

    metal: str
    node_id: str
    allocation_id: str | None = None


class ChangeMachinePower(Message, frozen=True):
    """Reboot, stop or start the machine.

    ``asked_at`` is when the operation's first command was sent.
    """

    metal: str
    node_id: str
    operation_id: str
    verb: Verb
    asked_at: Moment | None = None
    allocation_id: str | None = None


class MachineInspection(Message, frozen=True):
    """One machine to look at, and the node that it is on."""

    resource_id: str
    tenant: str
    node_id: str
    allocation_id: str | None = None


class InspectMachines(Message, frozen=True):
    """Look at all these machines of one metal with as few list calls as possible."""

    metal: str
    machines: tuple[MachineInspection, ...]


class NodeReserved(Message, frozen=True):
    """The node is the machine's, and nobody else's."""

    node_id: str
    node_name: str
    allocation_id: str


class NodeReleased(Message, frozen=True):
    """The machine has no node any more.

    ``quarantined``: it could not be given back clean, so nobody gets it; why, in words.
    """

    quarantined: str | None = None


class MachineDeployStarted(Message, frozen=True):
    """Ironic has accepted the deployment; the open step waits for the system's own login."""


class MachineUndeployStarted(Message, frozen=True):
    """Ironic has accepted to undeploy it; the open undo waits for `MachineObserved`."""


class MachineUndeployed(Message, frozen=True):
    """The node is off and doesn't know the machine's disk; until it is given back it still knows
    under which name it logged in.
    """


class MachinePowerChangeStarted(Message, frozen=True):
    """Ironic has accepted the power action; the operation now waits for `MachineObserved`."""

    operation_id: str


class MachineObserved(Message, frozen=True):
    """What Ironic said of a machine's node at ``observed_at``, in its own words.

    ``gone``: the node is not this machine's any more, or anybody may get it, or there is no such
    node.
    ``target_power_state``: a power action is under way.
    """

    observed_at: Moment
    gone: bool = False
    node_name: str | None = None
    provision_state: str | None = None
    power_state: str | None = None
    target_power_state: str | None = None
    maintenance: str | None = None
    last_error: str | None = None


class NodeCapacity(Message, frozen=True):
    """How many nodes of a flavor and arch ("": any) are in service, and how many of these are free.

    In service: enrolled, and not in maintenance. Free: Ironic could choose it now.
    """

    flavor: str
    arch: str
    total: int
    free: int


class NodeInventoryTaken(Message, frozen=True):
    """The nodes that ``metal`` had at ``taken_at``, for placement; told with each census.

    A flavor and arch that is not in ``capacities`` there are no nodes of.
    """

    metal: str
    taken_at: Moment
    capacities: tuple[NodeCapacity, ...]


class MachineInspectionFailed(Message, frozen=True):
    """Ironic could not be asked about these machines."""

    metal: str
    resource_ids: tuple[str, ...]
    problem: Problem
