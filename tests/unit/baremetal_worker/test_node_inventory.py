"""What a metal's nodes are counted as, for placement."""

from __future__ import annotations

from dataclasses import replace

from services.baremetal_worker.metals_file import Flavor
from services.baremetal_worker.node_inventory import capacities_of
from services.baremetal_worker.node_objects import Node, Power, State
from shared.contract.messages import NodeCapacity

X86, ARM, FAST = "HW_ARCH_X86_64", "HW_ARCH_AARCH64", "CUSTOM_FAST"
FREE = Node(
    "1", "n1", State.AVAILABLE, Power.OFF, resource_class="baremetal", traits=frozenset({X86, FAST})
)
TAKEN = replace(FREE, provision_state=State.ACTIVE, instance_id="a")
ARM_ONE = replace(FREE, traits=frozenset({ARM}))


def capacity(flavor: str, arch: str, total: int, free: int) -> NodeCapacity:
    return NodeCapacity(flavor=flavor, arch=arch, total=total, free=free)


def test_a_flavor_has_those_of_its_class_that_have_all_its_traits() -> None:
    """Of any arch, and of each that there is."""
    flavors = {
        "any": Flavor(resource_class="baremetal"),
        "fast": Flavor(resource_class="baremetal", traits=(FAST,)),
        "none": Flavor(resource_class="another"),
    }
    assert capacities_of(flavors, [FREE, TAKEN, ARM_ONE]) == (
        capacity("any", "", 3, 2),
        capacity("any", "aarch64", 1, 1),
        capacity("any", "x86_64", 2, 1),
        capacity("fast", "", 2, 1),
        capacity("fast", "x86_64", 2, 1),
        capacity("none", "", 0, 0),
    )


def test_without_flavors_each_resource_class_is_one() -> None:
    """As it is with the metals file; a node without a class can't be had."""
    nodes = [FREE, replace(FREE, resource_class=None), replace(TAKEN, resource_class="large")]
    assert capacities_of(None, nodes) == (
        capacity("baremetal", "", 1, 1),
        capacity("baremetal", "x86_64", 1, 1),
        capacity("large", "", 1, 0),
        capacity("large", "x86_64", 1, 0),
    )


def test_what_ironic_could_not_choose_is_not_free() -> None:
    """What is on its way in or out serves, but isn't free; what is broken doesn't serve."""
    reserved = replace(FREE, instance_id="a")
    cleaning = replace(FREE, provision_state=State.CLEANING)
    unknown = replace(FREE, power_state=None)
    broken, new = replace(FREE, maintenance=True), replace(FREE, provision_state=State.ENROLL)
    capacities = capacities_of(
        {"f": Flavor(resource_class="baremetal")}, [reserved, cleaning, unknown, broken, new]
    )
    assert capacities == (capacity("f", "", 3, 0), capacity("f", "x86_64", 3, 0))
