"""What we ask of a metal, as Protocols: `ironic_calls` answers them.

Errors come out as `TemporaryError` (`OutcomeUnknown` where it may yet be done) or as one of
`shared.worker.errors`. Nothing starts after the deadline that a metal was made with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from services.baremetal_worker.metals_file import Flavor
from services.baremetal_worker.node_objects import (
    Allocation,
    Connector,
    NewAllocation,
    Node,
    Power,
    Target,
    Verb,
)
from shared.runtime.deadline import Deadline
from shared.worker.chap import Account


class Metal(Protocol):
    """One Ironic, for one command."""

    @property
    def name(self) -> str:
        """What the metal is called."""

    @property
    def deadline(self) -> Deadline:
        """When the command's time is over."""

    def flavor(self, name: str) -> Flavor:
        """Return what a flavor means; raises `NotFound` (flavor_not_found)."""

    @property
    def flavors(self) -> Mapping[str, Flavor] | None:
        """What each flavor means; None: each resource class is one."""

    async def nodes(self, resource_class: str | None = None) -> list[Node]:
        """Return all nodes, or those of one class, without their storage interface."""

    async def states(self) -> list[Node]:
        """Return all nodes as far as it shows what runs on them, which costs Ironic least."""

    async def node(self, node_id: str) -> Node | None:
        """Return one node, whole; None when there is none of that id."""

    async def reserved_node(self, allocation_id: str) -> Node | None:
        """Return the node that an allocation has; None while it has none."""

    async def change_node(self, node_id: str, changes: Mapping[str, Any]) -> None:
        """Set fields of a node, by their paths (``/extra/colobus``); None takes one away."""

    async def allocation(self, name_or_id: str) -> Allocation | None:
        """Return one allocation; None when there is none of that name or id."""

    async def allocations(self) -> list[Allocation]:
        """Return all allocations."""

    async def allocate(self, new: NewAllocation) -> Allocation:
        """Have a node chosen, which takes its time; `Conflict` when the name is taken."""

    async def deallocate(self, allocation_id: str) -> None:
        """Give a reserved node back; that it is given back is fine. Refused of an active one."""

    async def connectors(self, node_id: str | None = None) -> list[Connector]:
        """Return the connectors of all nodes, or of one."""

    async def connector(self, connector_id: str) -> Connector | None:
        """Return one connector."""

    async def add_connector(
        self, node_id: str, initiator_iqn: str, extra: Mapping[str, Any]
    ) -> None:
        """Name a node; `Conflict` when any node is called so."""

    async def remove_connector(self, connector_id: str) -> None:
        """Remove a connector; that it is gone is fine."""

    async def targets(self, node_id: str | None = None) -> list[Target]:
        """Return the targets of all nodes, or of one."""

    async def target(self, target_id: str) -> Target | None:
        """Return one target."""

    async def add_target(self, target: Target, account: Account) -> None:
        """Have a node boot from a target (its ``id`` is not used); `Conflict` when it has one."""

    async def remove_target(self, target_id: str) -> None:
        """Remove a target, of a node that is off; that it is gone is fine."""

    async def vifs(self, node_id: str) -> list[str]:
        """Return the ids of the ports that a node's cards are."""

    async def attach_vif(self, node_id: str, port_id: str) -> None:
        """Have one of a node's cards be this port."""

    async def detach_vif(self, node_id: str, port_id: str) -> None:
        """Undo it; that it is undone is fine."""

    async def provision(self, node_id: str, verb: Verb) -> None:
        """Order a change of the provision state; it goes on after this."""

    async def power(self, node_id: str, power: Power, *, within: int | None = None) -> None:
        """Order a change of power; it goes on after this, for at most ``within`` seconds."""

    async def set_maintenance(self, node_id: str, reason: str | None) -> None:
        """Put a node in maintenance, or (None) take it out."""


class Metals(Protocol):
    """All metals of the metals file."""

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""

    def metal(self, name: str, deadline: Deadline) -> Metal:
        """Return one metal; raises `PermanentError` (no_metal)."""

    async def close(self) -> None:
        """Let go of all connections."""
