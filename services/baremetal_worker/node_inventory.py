"""How many nodes of each flavor and arch a metal has, and how many Ironic could choose. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.baremetal_worker.metals_file import Flavor
from services.baremetal_worker.node_objects import Node, State
from shared.contract.messages import NodeCapacity

#: As os-traits names architectures.
ARCH_TRAIT = "HW_ARCH_"


def arch_trait(arch: str) -> str:
    """Return the trait of nodes of an arch in Nova's words: ``aarch64`` → HW_ARCH_AARCH64."""
    return f"{ARCH_TRAIT}{arch.upper()}"


def capacities_of(
    flavors: Mapping[str, Flavor] | None, nodes: Sequence[Node]
) -> tuple[NodeCapacity, ...]:
    """Return what there is of each flavor of any arch, and of each that its nodes are of.

    ``flavors`` of None: each resource class is one, as in the metals file.
    """
    if flavors is None:
        classes = sorted({node.resource_class for node in nodes if node.resource_class})
        flavors = {name: Flavor(resource_class=name) for name in classes}
    capacities: list[NodeCapacity] = []
    for name, flavor in flavors.items():
        suitable = [node for node in nodes if _suits(node, flavor)]
        archs = {arch for node in suitable for arch in _archs(node)}
        for arch in ["", *sorted(archs)]:
            capacities.append(_capacity(name, arch, suitable))
    return tuple(capacities)


def _suits(node: Node, flavor: Flavor) -> bool:
    return node.resource_class == flavor.resource_class and set(flavor.traits) <= node.traits


def _archs(node: Node) -> set[str]:
    return {
        trait.removeprefix(ARCH_TRAIT).lower()
        for trait in node.traits
        if trait.startswith(ARCH_TRAIT)
    }


def _capacity(flavor: str, arch: str, suitable: Sequence[Node]) -> NodeCapacity:
    serving = [
        node
        for node in suitable
        if (not arch or arch_trait(arch) in node.traits)
        and node.provision_state != State.ENROLL
        and not node.maintenance
    ]
    free = [node for node in serving if _is_free(node)]
    return NodeCapacity(flavor=flavor, arch=arch, total=len(serving), free=len(free))


def _is_free(node: Node) -> bool:
    """As Ironic chooses for an allocation (``_candidate_nodes`` of its conductor)."""
    known = node.power_state is not None
    return known and node.provision_state == State.AVAILABLE and node.instance_id is None
