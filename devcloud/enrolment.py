"""Make Ironic know machines, until they are `available`; what is known already stays as it is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from devcloud.nodes import Node, ironic_node, trait

if TYPE_CHECKING:
    from openstack.baremetal.v1._proxy import Proxy as BareMetal
    from openstack.baremetal.v1.node import Node as IronicNode

WITHIN = 180.0
PAUSE = 0.2
FIELDS = ("uuid", "name", "provision_state", "power_state", "last_error", "reservation")
#: What is asked of a node in these states; in the others on the way one waits.
NEXT = {"enroll": "manage", "manageable": "provide"}
PASSING = ("verifying", "cleaning")


class EnrolmentFailed(RuntimeError):
    """A node did not become available; the message holds Ironic's words."""


def enrol(ironic: BareMetal, entries: Sequence[Node], credentials: Mapping[str, str]) -> None:
    """Bring all of these nodes to `available`, side by side.

    Args:
        ironic: As an operator of the system.
        entries: Nodes, as `nodes.yaml` lists them.
        credentials: Username and password of their boards.
    """
    _make(ironic, entries, credentials)
    names = {entry["name"] for entry in entries}
    asked: set[tuple[str, str]] = set()
    deadline = time.monotonic() + WITHIN
    while True:
        known = [node for node in ironic.nodes(fields=FIELDS) if node.name in names]
        open_ones = [node for node in known if not _settled(node)]
        if not open_ones:
            return
        for node in open_ones:
            _advance(ironic, node, asked)
        if time.monotonic() > deadline:
            late = ", ".join(node.name for node in open_ones)
            raise EnrolmentFailed(f"not available within {WITHIN:.0f} s: {late}")
        time.sleep(PAUSE)


def remove(ironic: BareMetal, entries: Sequence[Node]) -> None:
    """Make Ironic forget nodes that nobody uses."""
    for entry in entries:
        ironic.delete_node(entry["name"], ignore_missing=True)


def _make(ironic: BareMetal, entries: Sequence[Node], credentials: Mapping[str, str]) -> None:
    """Make what is missing of nodes, traits and ports; an earlier attempt may have been ended."""
    nodes = {node.name: node for node in ironic.nodes(fields=("uuid", "name", "traits"))}
    ports = {port.address for port in ironic.ports()}
    for entry in entries:
        node = nodes.get(entry["name"])
        if node is None:
            node = ironic.create_node(**ironic_node(entry, credentials))
        traits = {trait(entry["arch"]), *entry["traits"]}
        if set(node.traits or ()) != traits:
            ironic.set_node_traits(node, sorted(traits))
        for address in entry["ports"]:
            if address not in ports:
                ironic.create_port(node_uuid=node.id, address=address)


def _settled(node: IronicNode) -> bool:
    """Tell whether a node can be allocated or is in use; one of unknown power never is.

    Fake hardware's power is unknown until it is switched.
    """
    on_the_way = node.provision_state in (*NEXT, *PASSING)
    return not on_the_way and node.power_state is not None


def _advance(ironic: BareMetal, node: IronicNode, asked: set[tuple[str, str]]) -> None:
    """Ask for the next state, once: a board that doesn't answer brings a node back to `enroll`."""
    step = (node.name, node.provision_state)
    if node.provision_state in PASSING or node.reservation:
        return
    if step in asked:
        if node.last_error:
            raise EnrolmentFailed(f"{node.name}: {node.last_error}")
        return
    asked.add(step)
    if node.provision_state in NEXT:
        ironic.set_node_provision_state(node, NEXT[node.provision_state])
    else:
        ironic.set_node_power_state(node, "power off")
