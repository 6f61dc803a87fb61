"""A node is written to only where something of it must change: Ironic locks it for each change."""

from __future__ import annotations

from dataclasses import replace

from services.baremetal_worker.marks import PATH, Marks, Owner
from services.baremetal_worker.node_objects import Node
from services.baremetal_worker.provisioner.kit import Kit
from services.baremetal_worker.provisioner.readiness import fields_to_set
from shared.worker.chap import Chap

MARKS = Marks("one", "baremetal_worker")
KIT = Kit(MARKS, Chap(b"k" * 32))
OWNER = Owner("bigtop", "machine-1", "allocation-1")
READY = Node(
    id="n",
    name="metal-1",
    provision_state="available",
    storage_interface="external",
    display_name="build-box",
    extra=MARKS.as_extra(OWNER),
)
NAME = "/instance_info/display_name"


def test_a_node_that_is_as_it_should_be_is_left_alone() -> None:
    """It was made ready when it was reserved."""
    assert fields_to_set(KIT, READY, OWNER, "build-box") == {}
    nameless = replace(READY, display_name=None)
    assert fields_to_set(KIT, nameless, OWNER, None) == {}


def test_what_is_otherwise_is_set() -> None:
    """Mark, storage interface and name: another's, or none."""
    mark = {PATH: MARKS.mark(OWNER)}
    other = replace(READY, extra=MARKS.as_extra(replace(OWNER, allocation_id="allocation-0")))
    assert fields_to_set(KIT, other, OWNER, "build-box") == mark
    assert fields_to_set(KIT, replace(READY, extra={}), OWNER, "build-box") == mark
    local = replace(READY, storage_interface="noop")
    assert fields_to_set(KIT, local, OWNER, "build-box") == {"/storage_interface": "external"}
    left = replace(READY, display_name="of-somebody-else")
    assert fields_to_set(KIT, left, OWNER, "build-box") == {NAME: "build-box"}
    assert fields_to_set(KIT, left, OWNER, None) == {NAME: None}
    fresh = Node(id="n", name="metal-1", provision_state="available")
    assert list(fields_to_set(KIT, fresh, OWNER, "x")) == [PATH, NAME, "/storage_interface"]
