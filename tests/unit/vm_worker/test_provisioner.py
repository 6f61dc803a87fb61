from __future__ import annotations

from services.vm_worker.provisioner.kit import mac_address
from services.vm_worker.provisioner.servers import metadata
from shared.contract.identifiers import new_id
from shared.worker.marks import Marks

MARKS = Marks("i1", "vm_worker")


def test_a_resource_has_one_mac_address_for_ever() -> None:
    """Changing the derivation would make second ports possible: it is pinned here."""
    one, other = "vm-01jgz0000000000000000000000", "vm-01jgz0000000000000000000001"
    assert mac_address(one) == "22:56:18:4b:9c:18"
    assert mac_address(one) != mac_address(other)


def test_mac_addresses_are_unicast_and_locally_administered() -> None:
    """Nobody's hardware has such an address, and libvirt's own range (fe) is left alone."""
    for _ in range(500):
        first = int(mac_address(new_id("vm")).split(":")[0], 16)
        assert first & 0b11 == 0b10
        assert first < 0x80


def test_metadata_carries_our_marks_and_the_users_labels() -> None:
    """Marks first: no label can take their place."""
    labels = {"team": "storage", "ci/job": "42", "colobus_resource": "vm-2"}
    assert metadata(MARKS, "vm-1", labels) == {
        "colobus_installation": "i1",
        "colobus_resource": "vm-1",
        "colobus_worker": "vm_worker",
        "colobus_label_team": "storage",
        "colobus_label_ci:job": "42",
        "colobus_label_colobus_resource": "vm-2",
    }


def test_metadata_holds_only_what_novas_database_can() -> None:
    """A label with an emoji is no reason to fail a VM."""
    assert metadata(MARKS, "vm-1", {"a": "ż\U0001f600!"})["colobus_label_a"] == "ż\ufffd!"
