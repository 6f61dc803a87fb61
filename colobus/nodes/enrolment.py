"""Make Ironic know a list of nodes, until they are `available`. What it knows already stays.

Each step looks before it makes, so that a list may be enrolled again at any time: what an earlier
attempt has left is completed, and a node that is in use is not touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from colobus.errors import IronicRefuses, UnusableInput
from colobus.nodes.ironic import known, refusals
from colobus.nodes.node_list import ListedNode

WITHIN = 180.0
PAUSE = 0.2
#: What is asked of a node in these states; in the others on the way one waits.
NEXT = {"enroll": "manage", "inspect failed": "manage", "manageable": "provide"}
PASSING = frozenset(("verifying", "cleaning", "clean wait", "inspecting", "inspect wait"))
#: From here a node comes on by an operator's hand only.
STUCK = frozenset(("clean failed", "adopt failed"))
Report = Callable[[str, str], None]
"""Told a node's name and what becomes of it."""


def enrol(
    ironic: Any, nodes: Sequence[ListedNode], report: Report = lambda _name, _what: None
) -> None:
    """Bring all of these nodes to `available`, side by side; those in use stay as they are.

    Args:
        ironic: openstacksdk's bare metal proxy, as an operator of the system.
        nodes: As a list names them.
        report: Told of every step.

    Raises `UnusableInput`, before anything is made, for what can't be as the list has it; for nodes
    that did not become available `IronicRefuses`, with Ironic's words for each.
    """
    with refusals():
        there = {node.name: node for node in ironic.nodes(details=True)}
        ports = {port.address: port.node_id for port in ironic.ports(details=True)}
    _check_ports(nodes, ports, {node.id: name for name, node in there.items()})
    enrolment = _Enrolment(ironic, nodes, report)
    for node in nodes:
        with enrolment.of(node.name):
            enrolment.complete(node, there.get(node.name), ports)
    enrolment.bring_on()
    if enrolment.failed:
        lines = [f"{name}: {words}" for name, words in enrolment.failed.items()]
        raise IronicRefuses("\n".join(["not enrolled:", *lines]))


def _check_ports(nodes: Sequence[ListedNode], ports: dict[str, str], names: dict[str, str]) -> None:
    faults = [
        f"{node.name}: the port {address} is {owner}'s already"
        for node in nodes
        for address in node.ports
        if address in ports and (owner := names.get(ports[address], ports[address])) != node.name
    ]
    if faults:
        raise UnusableInput("\n".join(["nothing was made", *faults]))


class _Enrolment:
    """The nodes on their way; ``failed`` has Ironic's words for those that can't go on."""

    def __init__(self, ironic: Any, nodes: Sequence[ListedNode], report: Report) -> None:
        self.failed: dict[str, str] = {}
        self._ironic = ironic
        self._open = {node.name for node in nodes}
        self._report = report
        self._told: dict[str, str] = {}
        self._asked: set[tuple[str, str]] = set()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Do something for one node; what Ironic refuses ends this node's enrolment alone."""
        try:
            with refusals():
                yield
        except IronicRefuses as error:
            self._fail(name, str(error))

    def complete(self, node: ListedNode, found: Any, ports: dict[str, str]) -> None:
        """Make what is missing of a node, its traits and ports; ``found``: as Ironic has it."""
        if found is None:
            self._tell(node.name, "is made")
            found = self._ironic.create_node(**node.fields())
        else:
            self._tell_differences(node, found)
        traits = set(found.traits or ())
        if not node.traits <= traits:
            self._ironic.set_node_traits(found, sorted(node.traits | traits))
        for address in node.ports:
            if address not in ports:
                self._ironic.create_port(node_uuid=found.id, address=address)

    def bring_on(self) -> None:
        """Ask for one state after the other until all are settled."""
        deadline = time.monotonic() + WITHIN
        while self._open:
            with refusals():
                found = list(self._ironic.nodes(details=True))
            for node in found:
                if node.name in self._open:
                    with self.of(node.name):
                        self._advance(node)
            for name in self._open - {node.name for node in found}:
                self._fail(name, "somebody has removed it")
            if time.monotonic() > deadline:
                for name in sorted(self._open):
                    self._fail(name, f"still {self._told.get(name)} after {WITHIN:.0f} s")
            if self._open:
                time.sleep(PAUSE)

    def _advance(self, node: Any) -> None:
        """Ask for the next state, once: a board that doesn't answer brings a node back."""
        state = node.provision_state
        self._tell(node.name, state)
        if state in STUCK:
            self._fail(node.name, f"{state}: {node.last_error}")
        elif _settled(node):
            self._open.discard(node.name)
        elif state in PASSING or node.reservation:
            pass
        elif (node.name, state) in self._asked:
            if node.last_error:
                self._fail(node.name, node.last_error)
        else:
            self._asked.add((node.name, state))
            if state in NEXT:
                self._ironic.set_node_provision_state(node, NEXT[state])
            else:
                self._ironic.set_node_power_state(node, "power off")

    def _fail(self, name: str, words: str) -> None:
        self._open.discard(name)
        self.failed[name] = words
        self._report(name, f"failed: {words}")

    def _tell(self, name: str, what: str) -> None:
        if self._told.get(name) != what:
            self._told[name] = what
            self._report(name, what)

    def _tell_differences(self, node: ListedNode, found: Any) -> None:
        """A list that was changed after its nodes were made changes nothing; that is said."""
        other = sorted(_differences(node.fields(), found))
        if other:
            self._report(node.name, f"stays as it is, other than listed: {', '.join(other)}")


def _settled(node: Any) -> bool:
    """Tell whether a node can be allocated or is in use; a free one of unknown power can't be.

    Fake hardware's power is unknown until it is switched.
    """
    if node.provision_state in NEXT or node.provision_state in PASSING:
        return False
    return node.power_state is not None or known(node).in_use


def _differences(wanted: dict[str, Any], found: Any) -> Iterator[str]:
    """Name what Ironic has otherwise; passwords are not shown, so that they can't be compared."""
    for name in ("driver", "resource_class"):
        if wanted[name] != getattr(found, name):
            yield name
    for mapping in ("properties", "driver_info"):
        has = getattr(found, mapping) or {}
        for key, value in wanted[mapping].items():
            if has.get(key) != value and key != "redfish_password":
                yield f"{mapping}.{key}"
