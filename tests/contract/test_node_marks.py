"""What the baremetal_worker writes on a node is what ``colobus node`` reads of it."""

from __future__ import annotations

from types import SimpleNamespace

from colobus.nodes.ironic import known
from services.baremetal_worker.marks import Marks, Owner

MACHINE = "machine-01kb5w3t0fpz3sd2t4v8h1m9qa"


def test_the_command_knows_a_node_by_the_workers_mark() -> None:
    """Which machine it holds; so it is in use."""
    mark = Marks("rack", "lab").as_extra(Owner("bigtop", MACHINE))
    node = SimpleNamespace(
        name="metal-1",
        resource_class="altra",
        properties={},
        traits=None,
        provision_state="available",
        power_state="power off",
        is_maintenance=False,
        maintenance_reason=None,
        extra=mark,
        allocation_id=None,
        instance_id=None,
    )
    assert known(node).machine == MACHINE
    assert known(node).in_use
    node.extra = {}
    assert not known(node).in_use
