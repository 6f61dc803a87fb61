"""The provisioning network: where machines are switched on and boot from, and nothing else is.

It is a network namespace of this cloud's own with a bridge in it. No route leads in or out: iPXE's
boot scripts carry CHAP secrets over plain HTTP, so nobody else may be on it. What answers machines
(DHCP, boot files) runs inside, see `Network.enter`. This machine itself has one address on it, for
an iSCSI target that lives outside, with its storage: `Network.portal`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devcloud.account import Account
from devcloud.ports import FIRST_BASE, SPAN
from devcloud.site import Site

#: For tests of network devices (RFC 2544), so no network that this machine is on has it.
RANGE = "198.18.{number}.{host}"
IPV6_RANGE = "fd00:c010:b05:{number:x}::"
PREFIX = 24
HTTP_PORT = 8080
ISCSI_PORT = 3260
BRIDGE = "machines"
NAMESPACES = Path("/run/netns")
TUN = Path("/dev/net/tun")
NO_IPV6 = "/proc/sys/net/ipv6/conf/{device}/disable_ipv6"


def why_impossible() -> str | None:
    """Return why there can be no such network on this machine, in a few words; None: there can."""
    if os.geteuid() != 0:
        return "its network is a network namespace, which only root can make"
    if not TUN.exists():
        return f"its machines' network cards need {TUN}, which isn't there"
    made = ["unshare", "--net", "--mount", "true"]
    if subprocess.run(made, capture_output=True, check=False, timeout=30).returncode != 0:
        return "this machine (a container?) lets not even root make network namespaces"
    return None


class NeedsRoot(RuntimeError):
    """Only root may make network namespaces."""


@dataclass(frozen=True, slots=True)
class Network:
    """One cloud's provisioning network; clouds are told apart by a number below 256."""

    name: str
    number: int
    account: Account

    def address(self, host: int) -> str:
        """Return the address of a host by its number."""
        return RANGE.format(number=self.number, host=host)

    @property
    def gateway(self) -> str:
        """Where DHCP and boot scripts are."""
        return self.address(1)

    @property
    def portal(self) -> str:
        """The address of this machine itself: it can listen there without entering."""
        return self.address(2)

    @property
    def leases(self) -> tuple[str, str]:
        """The first and the last address for strangers."""
        return self.address(100), self.address(199)

    @property
    def ipv6(self) -> str:
        """The network that routers advertise, of 64 bits."""
        return IPV6_RANGE.format(number=self.number)

    @property
    def enter(self) -> list[str]:
        """Return what goes before a command to run it inside; the process id stays the same."""
        return ["nsenter", f"--net={NAMESPACES / self.name}", "--"]

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` inside, as the daemons' user."""
        return [*self.enter, *self.account.command(argv)]

    def exists(self) -> bool:
        """Tell whether it was made since the machine was last started, to its last address."""
        inside = self._ip("-o", "address", "show", "dev", BRIDGE, check=False)
        outside = _run(["ip", "-o", "address", "show", "dev", self.name], check=False)
        return f"{self.gateway}/" in inside and f"{self.portal}/" in outside

    def create(self) -> None:
        """Make whatever of it is missing."""
        if os.geteuid() != 0:
            raise NeedsRoot(
                "bare metal needs a network namespace, which only root can make: "
                "run this command as root, or leave bare metal out"
            )
        if self.exists():
            return
        if not (NAMESPACES / self.name).exists():
            _run(["ip", "netns", "add", self.name])
        self._ip("link", "set", "lo", "up")
        self._ip("link", "del", BRIDGE, check=False)  # an attempt that was interrupted
        # Machines boot at once, so neither ports nor groups may take their time to be learned.
        options = ["forward_delay", "0", "mcast_snooping", "0"]
        self._ip("link", "add", BRIDGE, "type", "bridge", *options)
        self._ip("link", "set", BRIDGE, "up")
        self._ip("-6", "address", "add", f"{self.ipv6}1/64", "dev", BRIDGE, "nodad")
        self._ip("address", "add", f"{self.gateway}/{PREFIX}", "dev", BRIDGE)
        self._connect_this_machine()

    def _connect_this_machine(self) -> None:
        """Lay a cable to this machine, which must not take routers' advertisements from there."""
        _run(["ip", "link", "del", self.name], check=False)
        peer = ["peer", "name", "this-machine", "netns", self.name]
        _run(["ip", "link", "add", self.name, "type", "veth", *peer])
        Path(NO_IPV6.format(device=self.name)).write_text("1\n")
        self._ip("link", "set", "this-machine", "master", BRIDGE, "up")
        _run(["ip", "link", "set", self.name, "up"])
        _run(["ip", "address", "add", f"{self.portal}/{PREFIX}", "dev", self.name])

    def add_tap(self, device: str) -> None:
        """Make one machine's network device, which the daemons' user may open.

        The file that leads to such devices is open to all wherever udev runs: the kernel asks for
        rights to the single device. In a container without udev only root could come so far.
        """
        TUN.chmod(0o666)
        if device not in self._ip("-o", "link", "show", "master", BRIDGE):
            self._ip("tuntap", "del", "dev", device, "mode", "tap", check=False)
            user = str(self.account.uid)
            self._ip("tuntap", "add", "dev", device, "mode", "tap", "user", user)
            self._ip("link", "set", device, "master", BRIDGE, "up")

    def remove(self) -> None:
        """Forget it, unless something still runs inside; the cable goes with it."""
        if (NAMESPACES / self.name).exists() and not _run(["ip", "netns", "pids", self.name]):
            _run(["ip", "netns", "delete", self.name])

    def _ip(self, *arguments: str, check: bool = True) -> str:
        return _run(["ip", "-netns", self.name, *arguments], check=check)


def network_of(site: Site) -> Network:
    """Return this cloud's provisioning network, made or not."""
    number = (site.ports.base - FIRST_BASE) // SPAN
    return Network(f"colobus-{site.ports.base}", number, site.account)


def _run(argv: Sequence[str], *, check: bool = True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    if check and done.returncode != 0:
        raise OSError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
