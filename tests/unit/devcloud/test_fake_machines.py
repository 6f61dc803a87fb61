"""What the double of machines reads: Ironic's list of nodes, and the boot script of each."""

from __future__ import annotations

from devcloud.nodes import fakes
from devcloud.stand_ins.boot_script import BootDisk, boot_disk
from devcloud.stand_ins.fake_machines import Switched, switched_on

#: As Ironic 39 writes it, without what is for other ways to boot.
SCRIPT = """#!ipxe

set attempts:int32 10
set i:int32 0

goto boot_iscsi

:deploy
imgfree
kernel  selinux=0 || goto retry

:boot_iscsi
imgfree
set username colobus-54102d30ce24481fc11d
set password 0123456789abcdef
set initiator-iqn iqn.2026-11.org.colobus:here.bigtop.machine-1.initiator
sanhook --drive 0x80 iscsi:198.18.0.2::41931:1:iqn.2026-11.org.colobus:here.bigtop.machine-1 || x


sanboot --no-describe || goto fail_iscsi_retry
"""


def test_a_script_tells_all_that_is_needed_to_log_in() -> None:
    """The secret among it, which is not shown by accident."""
    found = boot_disk(SCRIPT)
    assert found == BootDisk(
        portal="198.18.0.2:41931",
        target="iqn.2026-11.org.colobus:here.bigtop.machine-1",
        lun=1,
        initiator="iqn.2026-11.org.colobus:here.bigtop.machine-1.initiator",
        username="colobus-54102d30ce24481fc11d",
        password="0123456789abcdef",
    )
    assert "0123456789abcdef" not in repr(found)


def test_a_script_that_begins_elsewhere_boots_from_no_disk() -> None:
    """Such as that of a deployment's ramdisk, where the disk is only mentioned."""
    assert boot_disk(SCRIPT.replace("goto boot_iscsi", "goto deploy")) is None
    assert boot_disk("#!ipxe\ngoto boot_iscsi\n") is None


def test_a_portal_without_a_port_has_the_usual_one() -> None:
    """RFC 4173, section 5."""
    found = boot_disk(SCRIPT.replace("41931", ""))
    assert found is not None
    assert found.portal == "198.18.0.2:3260"


def test_a_node_that_is_switched_again_is_another_switching_on() -> None:
    """So that a reboot is seen, during which Ironic says `power on` all the while."""

    def node(power: str, at: str, target: str | None = None) -> dict[str, object]:
        info = {"last_power_state_change": at}
        states = {"power_state": power, "target_power_state": target}
        return {"uuid": "1", "name": "one", **states, "driver_internal_info": info}

    cards = {"1": "52:54:00:00:00:01"}
    assert switched_on([node("power off", "now")], cards) == set()
    first = switched_on([node("power on", "now")], cards)
    assert first == {Switched("one", "52:54:00:00:00:01", "now")}
    assert switched_on([node("power on", "later")], cards) != first
    assert switched_on([node("power on", "now", "power off")], cards) == set()
    assert switched_on([node("power on", "now")], {}) == set()


def test_fakes_that_boot_are_deployed_as_real_machines_are() -> None:
    """So Ironic writes their boot scripts; the others' boot and deploy are fake."""
    (boots,) = fakes("burst", 1, boots=True)
    (does_not,) = fakes("burst", 1)
    assert boots.fields()["boot_interface"] == "ipxe"
    assert boots.fields()["deploy_interface"] == "direct"
    assert does_not.fields()["boot_interface"] == "fake"
    assert boots.fields()["power_interface"] == does_not.fields()["power_interface"] == "fake"
