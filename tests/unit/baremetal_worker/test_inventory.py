"""What a metal's nodes are counted as, for placement."""

from __future__ import annotations

from dataclasses import replace

from services.baremetal_worker.inventory import stocks_of
from services.baremetal_worker.metals_file import Flavor
from services.baremetal_worker.node_objects import Node, State
from shared.contract.messages import NodeStock

X86, ARM, FAST = "HW_ARCH_X86_64", "HW_ARCH_AARCH64", "CUSTOM_FAST"
FREE = Node("1", "n1", State.AVAILABLE, resource_class="baremetal", traits=frozenset({X86, FAST}))
TAKEN = replace(FREE, provision_state=State.ACTIVE, instance_id="a")
ARM_ONE = replace(FREE, traits=frozenset({ARM}))


def stock(flavor: str, arch: str, total: int, free: int) -> NodeStock:
    return NodeStock(flavor=flavor, arch=arch, total=total, free=free)


def test_a_flavor_has_those_of_its_class_that_have_all_its_traits() -> None:
    """Of any arch, and of each that there is."""
    flavors = {
        "any": Flavor(resource_class="baremetal"),
        "fast": Flavor(resource_class="baremetal", traits=(FAST,)),
        "none": Flavor(resource_class="another"),
    }
    assert stocks_of(flavors, [FREE, TAKEN, ARM_ONE]) == (
        stock("any", "", 3, 2),
        stock("any", "aarch64", 1, 1),
        stock("any", "x86_64", 2, 1),
        stock("fast", "", 2, 1),
        stock("fast", "x86_64", 2, 1),
        stock("none", "", 0, 0),
    )


def test_without_flavors_each_resource_class_is_one() -> None:
    """As it is with the metals file; a node without a class can't be had."""
    nodes = [FREE, replace(FREE, resource_class=None), replace(TAKEN, resource_class="large")]
    assert stocks_of(None, nodes) == (
        stock("baremetal", "", 1, 1),
        stock("baremetal", "x86_64", 1, 1),
        stock("large", "", 1, 0),
        stock("large", "x86_64", 1, 0),
    )


def test_what_ironic_could_not_choose_is_not_free() -> None:
    """What is on its way in or out serves, but isn't free; what is broken doesn't serve."""
    reserved = replace(FREE, instance_id="a")
    cleaning = replace(FREE, provision_state=State.CLEANING)
    broken, new = replace(FREE, maintenance=True), replace(FREE, provision_state=State.ENROLL)
    stocks = stocks_of({"f": Flavor(resource_class="baremetal")}, [reserved, cleaning, broken, new])
    assert stocks == (stock("f", "", 2, 0), stock("f", "x86_64", 2, 0))
