"""The provisioning network's settings."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

import pytest

from devcloud.account import Account
from devcloud.components.provisioning_network import dnsmasq_settings
from devcloud.machines import ALL_MACHINES
from devcloud.ports import FIRST_BASE, LAST_BASE, SPAN
from devcloud.provisioning import PREFIX, NeedsRoot, Network, why_impossible

NETWORK = Network("colobus-21000", 7, Account(name="daemon", uid=1, gid=1))


def test_a_command_enters_before_it_becomes_the_daemons_user() -> None:
    """Only root may enter."""
    argv = NETWORK.command(["tgtd", "--foreground"])
    assert argv[:3] == ["nsenter", "--net=/run/netns/colobus-21000", "--"]
    assert argv[3] == "setpriv"
    assert argv[-2:] == ["tgtd", "--foreground"]


def test_without_root_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than with the words of the kernel."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NeedsRoot, match="as root, or leave bare metal out"):
        NETWORK.create()


def test_why_there_is_no_bare_metal_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the demo, which then goes without."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "only root" in str(why_impossible())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("devcloud.provisioning.TUN", tmp_path / "tun")
    assert "tun, which isn't there" in str(why_impossible())


def test_machines_have_addresses_of_their_own_outside_of_the_leases() -> None:
    """What a stranger is given is never a machine's."""
    inside = ipaddress.IPv4Network(f"{NETWORK.gateway}/{PREFIX}", strict=False)
    first, last = (ipaddress.IPv4Address(a) for a in NETWORK.leases)
    for machine in ALL_MACHINES:
        address = ipaddress.IPv4Address(NETWORK.address(machine.host))
        assert address in inside
        assert not first <= address <= last


def test_firmware_is_sent_to_ipxe_and_ipxe_to_its_script() -> None:
    """Else the boot loader would load itself for ever."""
    lines = dnsmasq_settings(NETWORK, Path("/data"), Path("/data/tftp")).splitlines()
    assert "dhcp-boot=tag:!arm64,tag:!ipxe,undionly.kpxe" in lines
    assert "dhcp-boot=tag:arm64,tag:!ipxe,ipxe-arm64.efi" in lines
    assert f"dhcp-boot=tag:ipxe,http://{NETWORK.gateway}:8080/boot.ipxe" in lines


def test_every_cloud_of_this_machine_has_a_range_of_its_own() -> None:
    """For this machine is on all of them."""
    assert (LAST_BASE - FIRST_BASE) // SPAN < 256
