"""Boot scripts hold secrets: each goes to its machine only."""

from __future__ import annotations

import pytest

from devcloud.plugins.colobus_devcloud_boot_server import may_read

NEIGHBOURS = """\
IP address       HW type     Flags       HW address            Mask     Device
172.31.0.11      0x1         0x2         52:54:00:c0:b0:01     *        machines
172.31.0.12      0x1         0x2         52:54:00:C0:B0:02     *        machines
"""
OWN = "/pxelinux.cfg/52-54-00-c0-b0-01"


@pytest.mark.parametrize(
    ("path", "client", "allowed"),
    [
        ("/boot.ipxe", "172.31.0.99", True),  # says no more than where the scripts are
        (OWN, "172.31.0.11", True),
        (OWN, "172.31.0.12", False),
        (OWN, "172.31.0.1", False),  # the network's own address is no machine
        (OWN, "172.31.0.99", False),
        ("/pxelinux.cfg/01-52-54-00-c0-b0-01", "172.31.0.11", True),  # as PXELINUX asks
        ("/pxelinux.cfg/52-54-00-C0-B0-02", "172.31.0.12", True),
        ("/2a858578-7776-4c4d-a288-b2beef4d2764/config", "172.31.0.11", False),
        ("/pxelinux.cfg/", "172.31.0.11", False),
        ("/", "172.31.0.11", False),
        ("/pxelinux.cfg/../2a858578/config", "172.31.0.11", False),
        (f"{OWN}/../52-54-00-c0-b0-02", "172.31.0.11", False),
        ("/boot.ipxe/../pxelinux.cfg/52-54-00-c0-b0-02", "172.31.0.11", False),
        (f"{OWN}?x", "172.31.0.11", False),
        ("/%70xelinux.cfg/52-54-00-c0-b0-02", "172.31.0.11", False),
    ],
)
def test_a_script_is_given_to_the_card_that_it_is_named_for(
    path: str, client: str, allowed: bool
) -> None:
    """And everything that isn't such a script, or the first one, to nobody."""
    assert may_read(path, client, NEIGHBOURS) is allowed


def test_an_unknown_neighbour_gets_nothing() -> None:
    """The kernel may not have learned of anybody yet."""
    assert not may_read(OWN, "172.31.0.11", NEIGHBOURS.splitlines()[0])
