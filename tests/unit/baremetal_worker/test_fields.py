"""A node is written to only where something of it must change: Ironic locks it for each change."""

from __future__ import annotations

from dataclasses import replace

from services.baremetal_worker.marks import PATH, Marks, Owner
from services.baremetal_worker.node_objects import Node
from services.baremetal_worker.provisioner.deployments import fields_to_set
from services.baremetal_worker.provisioner.kit import Kit
from shared.contract.messages import DeployMachine
from shared.worker.chap import Chap

MARKS = Marks("one", "baremetal_worker")
KIT = Kit(MARKS, Chap(b"k" * 32))
OWNER = Owner("bigtop", "machine-1", "allocation-1")
ORDER = DeployMachine(
    metal="lab", node_id="n", target_iqn="t", initiator_iqn="i", lun=1, portals=("p:1",)
)
NODE = Node(
    id="n",
    name="metal-1",
    provision_state="available",
    storage_interface="external",
    extra=MARKS.as_extra(OWNER),
)


def test_a_node_that_is_as_it_should_be_is_left_alone() -> None:
    """It was marked when it was reserved, and its operator has enrolled it right."""
    assert fields_to_set(KIT, NODE, ORDER, OWNER) == {}


def test_what_is_otherwise_is_set() -> None:
    """A mark of another reservation, or none; another storage interface; a name that was given."""
    mark = {PATH: MARKS.mark(OWNER)}
    other = replace(NODE, extra=MARKS.as_extra(replace(OWNER, allocation_id="allocation-0")))
    assert fields_to_set(KIT, other, ORDER, OWNER) == mark
    assert fields_to_set(KIT, replace(NODE, extra={}), ORDER, OWNER) == mark
    local = replace(NODE, storage_interface="noop")
    assert fields_to_set(KIT, local, ORDER, OWNER) == {"/storage_interface": "external"}
    named = DeployMachine(
        metal="lab",
        node_id="n",
        target_iqn="t",
        initiator_iqn="i",
        lun=1,
        portals=("p:1",),
        name="build-box",
    )
    assert fields_to_set(KIT, NODE, named, OWNER) == {"/instance_info/display_name": "build-box"}
    left = replace(NODE, display_name="of-somebody-else")
    assert fields_to_set(KIT, left, ORDER, OWNER) == {"/instance_info/display_name": "machine-1"}
    its_own = replace(NODE, display_name="build-box")
    assert fields_to_set(KIT, its_own, named, OWNER) == {}
